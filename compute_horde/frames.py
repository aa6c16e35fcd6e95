"""Size limits of frames, and parsing a frame as plain JSON."""

import json
import re
from typing import Any

from compute_horde.errors import ProtocolError

MAX_FRAME_BYTES = 50 * 2**20
MAX_VALUES = 50_000

# An unterminated string also matches once: else each quote in it would be tried as a start.
_PIECE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]', re.DOTALL)


def checked(raw: str | bytes, *, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """The frame's bytes; raises `ProtocolError` when parsing it would cost much more than its size.

    A parsed value takes about a hundred bytes however short its text, so values are counted before
    parsing.
    """
    if len(raw) > max_bytes:
        raise ProtocolError(f"frame of over {max_bytes} bytes")
    try:
        data = raw if isinstance(raw, bytes) else raw.encode()
    except UnicodeError:
        raise ProtocolError("the frame is not Unicode text") from None
    if len(data) > max_bytes:
        raise ProtocolError(f"frame of over {max_bytes} bytes")
    if _openers(data) > MAX_VALUES and _exceeds(data, MAX_VALUES):
        raise ProtocolError(f"frame of over {MAX_VALUES} values")
    return data


def parsed(raw: str | bytes) -> Any:
    """The frame parsed by Python's JSON: the last of equal keys wins, NaN is a number.

    Raises `ProtocolError`.
    """
    try:
        return json.loads(checked(raw).decode())
    except (ValueError, RecursionError) as exc:
        raise ProtocolError(f"malformed frame: {type(exc).__name__}") from None


def _openers(data: bytes) -> int:
    """An upper bound on the number of values: each but the first follows one of these."""
    return data.count(b"[") + data.count(b"{") + data.count(b",")


def _exceeds(data: bytes, limit: int) -> bool:
    """Whether there are over `limit` values; characters inside strings do not count."""
    strings = found = 0
    for piece in _PIECE.finditer(data):
        if data[piece.start()] == 0x22:
            strings += 1
        else:
            found += 1
        if max(strings // 2, found) > limit:
            return True
    return False
