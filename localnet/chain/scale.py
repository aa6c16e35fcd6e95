"""SCALE by hand: the few primitives that metadata and extrinsics are made of."""

from collections.abc import Iterable
from hashlib import blake2b


class ScaleError(ValueError):
    """The bytes end too early or hold a form we do not know."""


def compact(number: int) -> bytes:
    """A natural number in one, two, four or more bytes; the low two bits say which."""
    if number < 1 << 6:
        return bytes([number << 2])
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    if number < 1 << 30:
        return (number << 2 | 2).to_bytes(4, "little")
    body = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return bytes([len(body) - 4 << 2 | 3]) + body


def text(words: str) -> bytes:
    """A string: its length, then UTF-8."""
    encoded = words.encode()
    return compact(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    """Encoded items behind their count."""
    parts = list(items)
    return compact(len(parts)) + b"".join(parts)


def blake2_256(data: bytes) -> bytes:
    """The hash that names blocks and extrinsics."""
    return blake2b(data, digest_size=32).digest()


class Reader:
    """Takes bytes from the front; never reads past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ScaleError("the bytes end too early")
        self._at += count
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
        """Everything not yet taken."""
        piece = self._data[self._at :]
        self._at = len(self._data)
        return piece
