"""The errors of JSON-RPC responses and their codes.

The codes from -32700 to -32600 are those of JSON-RPC 2.0, the others those of Substrate nodes;
`REFUSED` is for the operator's methods.
"""

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
STATE_UNAVAILABLE = 4003
REFUSED = 2000


class RpcError(Exception):
    """An error response to one request; the connection stays open."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        """The `error` member of a response."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        return body if self.data is None else body | {"data": self.data}
