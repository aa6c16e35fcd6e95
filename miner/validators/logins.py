"""Remembers recent logins, so that a recorded login cannot be replayed."""

import time
from collections import OrderedDict

from compute_horde.protocol.handshake import MAX_AUTH_AGE_SECONDS, ValidatorAuth

# The timestamp of a login may differ from this machine's clock in both directions.
REMEMBERED_SECONDS = 2.0 * MAX_AUTH_AGE_SECONDS
# Published validators open a connection per job.
LOGINS_PER_VALIDATOR = 4096


class LoginMemory:
    """The signatures of recent logins; `refusal` is called only after a signature was verified.

    The logins seen by an earlier process are unknown, so older logins are refused.
    """

    def __init__(self) -> None:
        self._since = int(time.time())
        self._seen: dict[str, OrderedDict[bytes, float]] = {}

    def refusal(self, auth: ValidatorAuth) -> str | None:
        """Why a login is refused; None for a new one, which is remembered."""
        now = time.monotonic()
        self._drop_old(now - REMEMBERED_SECONDS)
        seen = self._seen.setdefault(auth.validator_hotkey, OrderedDict())
        signature = bytes.fromhex(auth.signature.removeprefix("0x"))
        if signature in seen:
            return "this login was used before"
        if auth.timestamp < self._since:
            return "msg older than this miner's start"
        if len(seen) >= LOGINS_PER_VALIDATOR:
            return f"more than {LOGINS_PER_VALIDATOR} logins in {REMEMBERED_SECONDS:.0f} s"
        seen[signature] = now
        return None

    def _drop_old(self, before: float) -> None:
        for hotkey, seen in list(self._seen.items()):
            while seen and next(iter(seen.values())) < before:
                seen.popitem(last=False)
            if not seen:
                del self._seen[hotkey]
