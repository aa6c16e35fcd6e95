"""How many sockets of one address may be open without being logged in."""

from collections import Counter


class Doorman:
    """A stranger is a socket that has not proved who it is, also while it is held to be closed.

    Published clients reopen a closed socket at once, so a refused one is held for a while; this
    bounds what that costs.
    """

    def __init__(self, per_address: int) -> None:
        self._per_address = per_address
        self._strangers: Counter[str] = Counter()

    def admits(self, address: str) -> bool:
        """Whether one more stranger from `address` may come in; if so it is counted."""
        if self._strangers[address] >= self._per_address:
            return False
        self._strangers[address] += 1
        return True

    def forget(self, address: str) -> None:
        """A stranger left, or is none any more."""
        self._strangers[address] -= 1
        if self._strangers[address] <= 0:
            del self._strangers[address]
