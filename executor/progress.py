"""How far a stage has come, told to whoever listens."""

from typing import Protocol


class Tell(Protocol):
    """Called with what is on its way, its bytes so far and, when known, of how many."""

    def __call__(self, what: str, done_bytes: int, total_bytes: int | None) -> None: ...


def silent(what: str, done_bytes: int, total_bytes: int | None) -> None:
    """Nobody listens."""
