"""Encodes and reads the SCALE primitives that metadata and extrinsics consist of."""

from collections.abc import Iterable
from hashlib import blake2b


class ScaleError(ValueError):
    """The bytes end too early or have an unsupported form."""


def compact(number: int) -> bytes:
    """A natural number as a SCALE compact; its two lowest bits are the mode, that is its size."""
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 2).to_bytes(4, "little")
    body = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return bytes([len(body) - 4 << 2 | 3]) + body


def uint(number: int, bits: int) -> bytes:
    """A natural number of fixed size, such as a `u16`."""
    return number.to_bytes(bits // 8, "little")


def text(value: str) -> bytes:
    """A string: its length in bytes as a compact, then UTF-8."""
    encoded = value.encode()
    return compact(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    """A vector: the number of items as a compact, then the encoded items."""
    parts = list(items)
    return compact(len(parts)) + b"".join(parts)


def blake2_256(data: bytes) -> bytes:
    """The hash function of blocks and extrinsics."""
    return blake2b(data, digest_size=32).digest()


class Reader:
    """Reads bytes in order. Every method raises `ScaleError` at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        piece = self._data[self._position : self._position + count]
        if len(piece) != count:
            raise ScaleError("the bytes end too early")
        self._position += count
        return piece

    def byte(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def compact(self) -> int:
        """The next compact number."""
        first = self.byte()
        mode = first & 3
        if mode == 0:
            return first >> 2
        if mode == 3:
            return int.from_bytes(self.take((first >> 2) + 4), "little")
        rest = self.take(1 if mode == 1 else 3)
        return int.from_bytes(bytes([first]) + rest, "little") >> 2

    def rest(self) -> bytes:
        """All bytes not yet read."""
        piece = self._data[self._position :]
        self._position = len(self._data)
        return piece
