"""The error of an API request."""

from typing import Any

from compute_horde.errors import ComputeHordeError


class ApiError(ComputeHordeError):
    """Ends a request with this status and JSON body."""

    def __init__(self, status: int, body: Any, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}
