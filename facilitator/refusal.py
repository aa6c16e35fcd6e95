"""An answer that is not what the caller hoped for."""

from typing import Any


class Refusal(Exception):
    """Ends a request with this status and JSON body."""

    def __init__(self, status: int, body: Any, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}
