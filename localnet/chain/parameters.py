"""Reads and checks the parameters of a JSON-RPC request."""

from typing import Any

from bittensor_core import ss58_decode

from localnet.chain.errors import INVALID_PARAMS, RpcError

RAO_LIMIT = 1 << 63


class Parameters:
    """The parameters of one request, by position or by name.

    Every method raises `RpcError` for a missing or invalid parameter.
    """

    def __init__(self, params: Any) -> None:
        if params is None:
            params = []
        if not isinstance(params, list | dict):
            raise RpcError(INVALID_PARAMS, "params must be a list or an object")
        self._params: list[Any] | dict[str, Any] = params

    def optional(self, position: int, name: str) -> Any:
        """The value; None if it is absent."""
        if isinstance(self._params, dict):
            return self._params.get(name)
        return self._params[position] if position < len(self._params) else None

    def required(self, position: int, name: str) -> Any:
        """The value, which must be present."""
        value = self.optional(position, name)
        if value is None:
            raise RpcError(INVALID_PARAMS, f"the parameter {name} is missing")
        return value

    def text(self, position: int, name: str) -> str:
        """A string."""
        value = self.required(position, name)
        if not isinstance(value, str):
            raise RpcError(INVALID_PARAMS, f"{name} must be a string")
        return value

    def hexadecimal(self, position: int, name: str) -> bytes:
        """Bytes in hexadecimal, with or without `0x`."""
        return as_bytes(self.text(position, name), name)

    def natural(self, position: int, name: str, limit: int = RAO_LIMIT) -> int:
        """A whole number from 0 to `limit`."""
        return as_natural(self.required(position, name), name, limit)

    def account(self, position: int, name: str) -> str:
        """An account's ss58 address."""
        value = self.text(position, name)
        try:
            ss58_decode(value)
        except ValueError as exc:
            raise RpcError(INVALID_PARAMS, f"{name} is not an ss58 address: {exc}") from exc
        return value

    def texts(self, position: int, name: str, limit: int) -> list[str]:
        """A list of at most `limit` strings."""
        value = self.required(position, name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise RpcError(INVALID_PARAMS, f"{name} must be a list of strings")
        if len(value) > limit:
            raise RpcError(INVALID_PARAMS, f"{name} may hold at most {limit} entries")
        return value


def as_bytes(value: str, name: str) -> bytes:
    """Bytes from hexadecimal text. Raises `RpcError`."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError as exc:
        raise RpcError(INVALID_PARAMS, f"{name} must be hexadecimal") from exc


def as_natural(value: Any, name: str, limit: int, least: int = 0) -> int:
    """The value, if it is a whole number from `least` to `limit`. Raises `RpcError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= limit:
        raise RpcError(INVALID_PARAMS, f"{name} must be a whole number from {least} to {limit}")
    return value
