"""Rules of receipt pages: which page a receipt is in, and HTTP range requests."""

import re
from dataclasses import dataclass
from datetime import datetime

PAGE_SECONDS = 300
_RANGE = re.compile(r"bytes=(\d{1,15})-")


@dataclass(frozen=True, slots=True)
class PageRange:
    """The part of a page to send: the HTTP status and the first byte."""

    status: int
    start: int = 0


def page_at(now: datetime) -> int:
    """The number of the page of receipts stored at `now`."""
    return int(now.timestamp()) // PAGE_SECONDS


def parse_range(header: str | None, length: int) -> PageRange:
    """The part that a `Range` header requests of a page of `length` bytes.

    Only the form `bytes=START-` is supported; others request the whole page.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return PageRange(200)
    start = int(found[1])
    return PageRange(206, start) if start < length else PageRange(416, length)
