"""Receipt pages: when a receipt is published where, and how a reader is answered."""

import re
from dataclasses import dataclass
from datetime import datetime

PAGE_SECONDS = 300
_FROM = re.compile(r"bytes=(\d{1,15})-")


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of a page: status, where it starts, and whether there is anything."""

    status: int
    start: int = 0


def page_at(now: datetime) -> int:
    """The page that receipts stored at `now` go to."""
    return int(now.timestamp()) // PAGE_SECONDS


def slice_of(wanted: str | None, length: int) -> Slice:
    """What a `Range` header asks of a page of `length` bytes; other forms mean all of it."""
    found = _FROM.fullmatch(wanted or "")
    if found is None:
        return Slice(200)
    start = int(found[1])
    return Slice(206, start) if start < length else Slice(416, length)
