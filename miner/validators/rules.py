"""Which validators are heard, and whether one is who it says."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import MAX_AUTH_AGE_SECONDS, ValidatorAuth

ALWAYS_HEARD = frozenset({"5HBVrFGy6oYhhh71m9fFGYD7zbKyAeHnWN8i8s9fJTBMCtEE"})


@dataclass(frozen=True, slots=True)
class Staked:
    """A hotkey and its stake in TAO."""

    hotkey: str
    stake: Decimal


def heard(
    neurons: Iterable[Staked], *, minimum: Decimal, count: int, always: Collection[str] = ()
) -> dict[str, Decimal]:
    """The `count` neurons with most stake of at least `minimum`, and those always heard."""
    named = ALWAYS_HEARD.union(always)
    rich = sorted(
        (one for one in neurons if one.stake >= minimum or one.hotkey in named),
        key=lambda one: (-one.stake, one.hotkey),
    )
    top = [one for one in rich if one.stake >= minimum][:count]
    return {one.hotkey: one.stake for one in [*top, *(o for o in rich if o.hotkey in named)]}


def distrust(
    auth: ValidatorAuth, *, path_hotkey: str, miner_hotkey: str | None, now: float
) -> str | None:
    """Why this introduction is not believed, or None when it is.

    `miner_hotkey` is None at a trusted miner, which validators do not call by its hotkey.
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
