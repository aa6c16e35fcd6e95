"""Progress told a few times a second at most, however fast it is made."""

import time

from executor.progress import Tell

EVERY_SECONDS = 0.3


class Paced:
    """A `Tell` that passes on the first word and then one for each pause; the end of a stage is
    told by its own message, so that no last word is needed."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._next = float("-inf")

    def __call__(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_SECONDS
            self._tell(what, done_bytes, total_bytes)
