"""Parses a facilitator's JSON only if its values fit into a bounded amount of memory."""

import json
import re
from itertools import islice
from typing import Any

from compute_horde.errors import ProtocolError

# A string of 40 MB takes 40 MB of memory, but 40 MB of `[],` take 1 GB. A page of 256 jobs with all
# their statuses has fewer than 200,000 values.
MAX_VALUES = 500_000
# One character beyond ASCII makes every character of its string take up to four bytes. Both output
# streams of a job have at most four million characters together, as each may occur twice.
MAX_WIDE_CHARACTERS = 32 * 2**20
# A document up to this size may be held with four bytes for each character.
ANY_WIDTH_BYTES = 8 * 2**20
# Possessive quantifiers: no backtracking, so matching takes linear time.
TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
VALUES = re.compile(TEXT + rb'|[\[{]|[^\s"\[\]{},:]++', re.DOTALL)
TEXTS = re.compile(TEXT, re.DOTALL)
DELIMITERS = (b"[", b"{", b",", b":")
UTF_8_MARK = b"\xef\xbb\xbf"


def parsed(text: bytes) -> Any:
    """The value of the JSON document `text` in UTF-8.

    Raises `ValueError` when it is not JSON, and `ProtocolError` when it takes too much memory.
    """
    # A cheap upper bound first: it also counts delimiters inside strings.
    if sum(map(text.count, DELIMITERS)) > MAX_VALUES and _has_more_values(text):
        raise ProtocolError(
            f"the facilitator's answer has over {MAX_VALUES:,} values; ask for fewer jobs at once"
        )
    text = text.removeprefix(UTF_8_MARK)
    if len(text) > ANY_WIDTH_BYTES and _may_be_wide(text):
        text = _in_ascii(text)
    document = text.decode("utf-8", "surrogatepass")
    del text
    return json.loads(document)


def _has_more_values(text: bytes) -> bool:
    return next(islice(VALUES.finditer(text), MAX_VALUES, None), None) is not None


def _may_be_wide(text: bytes) -> bool:
    return not text.isascii() or rb"\u" in text


def _in_ascii(text: bytes) -> bytes:
    """The same JSON with characters beyond ASCII escaped, so that only strings with such are wide.

    Raises `ProtocolError` when those strings would take too much memory.
    """
    room = MAX_WIDE_CHARACTERS
    parts: list[bytes | memoryview] = []
    done = 0
    for found in TEXTS.finditer(text):
        piece = found[0]
        if not _may_be_wide(piece):
            continue
        # An upper bound of its characters: each \uXXXX is one, unless its backslash is escaped.
        room -= len(piece) - 5 * (piece.count(rb"\u") - piece.count(rb"\\u"))
        if room < 0:
            raise ProtocolError(
                "the facilitator's answer has texts with characters beyond ASCII of together over "
                f"{MAX_WIDE_CHARACTERS:,} characters; ask for fewer jobs at once"
            )
        if not piece.isascii():
            value = json.loads(piece.decode("utf-8", "surrogatepass"))
            parts += (memoryview(text)[done : found.start()], json.dumps(value).encode())
            done = found.end()
    made = b"".join((*parts, memoryview(text)[done:])) if done else text
    if not made.isascii():
        raise ValueError("characters beyond ASCII outside of a text")
    return made
