"""Rules of a miner's receipt pages: which ones to read, and how much of what was received."""

import re
from dataclasses import dataclass
from enum import StrEnum

from compute_horde.errors import OutsideError

PAGE_SECONDS = 300
ACTIVE_PAGES = 2
CATCH_UP_PAGES = 60
# A page is read to its end when it was read completely so long after its last second: the clock
# of the miner, which decides about the page of a receipt, may be slow.
SETTLED_SECONDS = 60
# A finished receipt with 10 000 block numbers has 110 KB.
MAX_LINE_BYTES = 256 * 1024
# One response is read up to here; the rest of a page is requested next.
MAX_FETCH_BYTES = 512 * 1024
MAX_FETCH_LINES = 1000
# Some 45 000 receipts in five minutes.
MAX_PAGE_BYTES = 32 * 2**20
# How often a page that is not the same as before is read again from its beginning.
MAX_RESTARTS = 3

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})")


class TransferProblem(StrEnum):
    """Why pages could not be fetched from a miner, or a page is not read any more."""

    CONNECT_FAILED = "connect_failed"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    MALFORMED_RESPONSE = "malformed_response"
    REDIRECTED = "redirected"
    UNEXPECTED_STATUS = "unexpected_status"
    RANGE_IGNORED = "range_ignored"
    WRONG_RANGE = "wrong_range"
    WRONG_ENCODING = "wrong_encoding"
    PAGE_TOO_LONG = "page_too_long"
    LINE_TOO_LONG = "line_too_long"
    REWRITTEN = "rewritten"
    # A defect of this program, shown by what this miner sent; the log has the traceback.
    UNEXPECTED_ERROR = "unexpected_error"


# After these, the page is not requested any more.
FINAL_PROBLEMS = frozenset(
    {
        TransferProblem.PAGE_TOO_LONG,
        TransferProblem.LINE_TOO_LONG,
        TransferProblem.REWRITTEN,
    }
)


class TransferError(OutsideError):
    """A page could not be fetched."""

    def __init__(self, problem: TransferProblem, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class PagePart:
    """The part of a page that a response contained, from byte `start` on.

    `is_complete` means that it reaches the present end of the page. `length` is the present length
    of the page in bytes, if the miner told it. `timed_out`: the rest did not come in time.
    """

    start: int
    body: bytes = b""
    is_complete: bool = True
    length: int | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A parsed `Content-Range` header; `start` is None in that of an unsatisfiable request."""

    start: int | None
    length: int


def page_at(seconds: float) -> int:
    """The number of the page to which a miner appends at a UNIX time."""
    return int(seconds) // PAGE_SECONDS


def active_pages(seconds: float) -> list[int]:
    """The pages that may still grow, oldest first."""
    newest = page_at(seconds)
    return list(range(newest - ACTIVE_PAGES + 1, newest + 1))


def older_pages(seconds: float) -> list[int]:
    """The pages of the last five hours that are not active any more, newest first."""
    newest = page_at(seconds)
    return list(range(newest - ACTIVE_PAGES, newest - CATCH_UP_PAGES, -1))


def is_settled(page: int, seconds: float) -> bool:
    """Whether a page cannot grow any more at a UNIX time."""
    return seconds >= (page + 1) * PAGE_SECONDS + SETTLED_SECONDS


def parse_content_range(header: str) -> ContentRange | None:
    """The range in a `Content-Range` header; None when it is missing or has another form."""
    found = _CONTENT_RANGE.fullmatch(header)
    if found is None:
        return None
    return ContentRange(int(found[1]) if found[1] else None, int(found[3]))


def complete_lines(body: bytes) -> bytes:
    """The beginning of `body` up to its last newline, at most `MAX_FETCH_LINES` lines.

    An incomplete line at the end is left for the next request.

    Raises:
        TransferError: the first line is longer than any receipt.
    """
    end = 0
    for _ in range(MAX_FETCH_LINES):
        newline = body.find(b"\n", end)
        if newline < 0:
            break
        end = newline + 1
    if not end and len(body) > MAX_LINE_BYTES:
        raise TransferError(TransferProblem.LINE_TOO_LONG)
    return body[:end]
