"""The parameters of a JSON-RPC request, checked one by one."""

from typing import Any

from bittensor_core import ss58_decode

from localnet.chain.errors import INVALID_PARAMS, RpcError

RAO_LIMIT = 1 << 63


class Parameters:
    """Takes parameters by place, or by name where the request names them."""

    def __init__(self, given: Any) -> None:
        if given is None:
            given = []
        if not isinstance(given, list | dict):
            raise RpcError(INVALID_PARAMS, "params must be a list or an object")
        self._given: list[Any] | dict[str, Any] = given

    def optional(self, place: int, name: str) -> Any:
        """The value, or None when it was left out."""
        if isinstance(self._given, dict):
            return self._given.get(name)
        return self._given[place] if place < len(self._given) else None

    def required(self, place: int, name: str) -> Any:
        """The value; refuses its absence."""
        value = self.optional(place, name)
        if value is None:
            raise RpcError(INVALID_PARAMS, f"the parameter {name} is missing")
        return value

    def text(self, place: int, name: str) -> str:
        """A string."""
        value = self.required(place, name)
        if not isinstance(value, str):
            raise RpcError(INVALID_PARAMS, f"{name} must be a string")
        return value

    def hexadecimal(self, place: int, name: str) -> bytes:
        """Bytes written as hex, with or without `0x`."""
        return as_bytes(self.text(place, name), name)

    def natural(self, place: int, name: str, limit: int = RAO_LIMIT) -> int:
        """A whole number from 0 up to `limit`."""
        return as_natural(self.required(place, name), name, limit)

    def account(self, place: int, name: str) -> str:
        """An account's ss58 address."""
        value = self.text(place, name)
        try:
            ss58_decode(value)
        except ValueError as exc:
            raise RpcError(INVALID_PARAMS, f"{name} is no ss58 address: {exc}") from exc
        return value

    def texts(self, place: int, name: str, limit: int) -> list[str]:
        """A list of at most `limit` strings."""
        value = self.required(place, name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise RpcError(INVALID_PARAMS, f"{name} must be a list of strings")
        if len(value) > limit:
            raise RpcError(INVALID_PARAMS, f"{name} may hold at most {limit} entries")
        return value


def as_bytes(value: str, name: str) -> bytes:
    """Bytes from hex text, or `RpcError`."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError as exc:
        raise RpcError(INVALID_PARAMS, f"{name} must be hexadecimal") from exc


def as_natural(value: Any, name: str, limit: int) -> int:
    """A whole number from 0 up to `limit`, or `RpcError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise RpcError(INVALID_PARAMS, f"{name} must be a whole number from 0 to {limit}")
    return value
