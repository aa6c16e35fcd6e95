"""Rules for selecting validators by stake and for checking logins."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import MAX_AUTH_AGE_SECONDS, ValidatorAuth

ALWAYS_ACCEPTED = frozenset({"5HBVrFGy6oYhhh71m9fFGYD7zbKyAeHnWN8i8s9fJTBMCtEE"})


@dataclass(frozen=True, slots=True)
class StakedHotkey:
    """A hotkey and its stake in TAO."""

    hotkey: str
    stake: Decimal


def select_validators(
    neurons: Iterable[StakedHotkey], *, minimum: Decimal, count: int, always: Collection[str] = ()
) -> dict[str, Decimal]:
    """The stake of each selected validator, by hotkey.

    Selected are the `count` neurons with the highest stake of at least `minimum` (TAO), and those
    that are always accepted.
    """
    exempt = ALWAYS_ACCEPTED.union(always)
    candidates = sorted(
        (one for one in neurons if one.stake >= minimum or one.hotkey in exempt),
        key=lambda one: (-one.stake, one.hotkey),
    )
    top = [one for one in candidates if one.stake >= minimum][:count]
    return {one.hotkey: one.stake for one in [*top, *(o for o in candidates if o.hotkey in exempt)]}


def login_problem(
    auth: ValidatorAuth, *, path_hotkey: str, miner_hotkey: str | None, now: float
) -> str | None:
    """Why a login is invalid, or None if it is valid; `now` is in seconds since the epoch.

    `miner_hotkey` is None at a trusted miner, because validators do not use its hotkey.
    """
    if auth.timestamp < now - MAX_AUTH_AGE_SECONDS:
        return "msg too old"
    if auth.timestamp > now + MAX_AUTH_AGE_SECONDS:
        return "msg from the future"
    if miner_hotkey is not None and auth.miner_hotkey != miner_hotkey:
        return f"wrong miner hotkey ({auth.miner_hotkey}!={miner_hotkey})"
    if auth.validator_hotkey != path_hotkey:
        return f"wrong validator hotkey ({auth.validator_hotkey}!={path_hotkey})"
    try:
        signing.verify_hex(path_hotkey, auth.blob(), auth.signature)
    except BadSignature:
        return "Signature mismatches"
    return None
