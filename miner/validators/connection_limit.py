"""Limits the connections of one address that are not logged in."""

from collections import Counter

from compute_horde.django.connection_limits import address_group


class ConnectionLimiter:
    """Counts connections that are not logged in, including refused ones that are still held open.

    Published clients reconnect at once, so a refused connection is held open for a while. This
    class limits their number.
    """

    def __init__(self, per_address: int) -> None:
        self._per_address = per_address
        self._counts: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Count one more connection from `address`; False if there are too many."""
        address = address_group(address)
        if self._counts[address] >= self._per_address:
            return False
        self._counts[address] += 1
        return True

    def release(self, address: str) -> None:
        """Stop counting a connection, which was closed or has logged in."""
        address = address_group(address)
        self._counts[address] -= 1
        if self._counts[address] <= 0:
            del self._counts[address]
