"""Pauses between attempts, each twice as long as the one before, up to a longest one."""


class Backoff:
    """The pauses of one series of attempts, in seconds."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first, self._longest = first_seconds, longest_seconds
        self._next = first_seconds

    @property
    def seconds(self) -> float:
        """The pause that comes next."""
        return self._next

    def take(self) -> float:
        """The pause to make now, in seconds; the one after it is twice as long."""
        pause = self._next
        self._next = min(pause * 2, self._longest)
        return pause

    def reset(self) -> None:
        """After a success: begin again with the first pause."""
        self._next = self._first
