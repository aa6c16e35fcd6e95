"""Which pages are read, and how much of a response counts."""

import pytest

from validator.receipts import pages
from validator.receipts.pages import ContentRange, TransferError, TransferProblem


def test_a_page_is_five_minutes_of_unix_time() -> None:
    assert [pages.page_at(seconds) for seconds in (0, 299.9, 300, 1767225600.5)] == [
        *(0, 0, 1, 5890752)
    ]


def test_the_active_pages_are_two_and_the_older_ones_make_up_five_hours() -> None:
    assert pages.active_pages(30_000) == [99, 100]
    older = pages.older_pages(30_000)
    assert (older[0], older[-1], len(older)) == (98, 41, 58)


def test_a_page_can_grow_until_a_minute_after_its_end() -> None:
    assert not pages.is_settled(0, 359.9)
    assert pages.is_settled(0, 360)


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        ("bytes 5-9/10", ContentRange(5, 10)),
        ("bytes */10", ContentRange(None, 10)),
        ("bytes 5-9/*", None),
        ("", None),
        ("bytes -5-9/10", None),
        (f"bytes 5-9/{'9' * 5000}", None),
    ],
)
def test_content_range_is_parsed(header: str, parsed: ContentRange | None) -> None:
    assert pages.parse_content_range(header) == parsed


def test_an_incomplete_last_line_is_left() -> None:
    assert pages.complete_lines(b"a\nbc\nd") == b"a\nbc\n"
    assert pages.complete_lines(b"abc") == b""
    assert pages.complete_lines(b"") == b""


def test_so_many_lines_are_taken_at_once() -> None:
    assert pages.complete_lines(b"\n" * (pages.MAX_FETCH_LINES + 5)) == (
        b"\n" * pages.MAX_FETCH_LINES
    )


def test_a_line_longer_than_any_receipt_is_an_error() -> None:
    assert pages.complete_lines(b"x" * pages.MAX_LINE_BYTES) == b""
    with pytest.raises(TransferError) as caught:
        pages.complete_lines(b"x" * (pages.MAX_LINE_BYTES + 1))
    assert caught.value.problem is TransferProblem.LINE_TOO_LONG
