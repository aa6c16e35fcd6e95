"""The page of a receipt, and the part of a page that is requested."""

from datetime import UTC, datetime

import pytest

from miner.receipts.rules import PageRange, page_at, parse_range


def test_a_page_lasts_five_minutes():
    assert page_at(datetime.fromtimestamp(299.9, UTC)) == 0
    assert page_at(datetime.fromtimestamp(300, UTC)) == 1


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (None, PageRange(200)),
        ("bytes=0-", PageRange(206, 0)),
        ("bytes=9-", PageRange(206, 9)),
        ("bytes=10-", PageRange(416, 10)),
        ("bytes=-5", PageRange(200)),
        ("bytes=1-5", PageRange(200)),
        ("lines=1-", PageRange(200)),
        ("bytes=99999999999999999999-", PageRange(200)),
    ],
)
def test_a_range_header_selects_the_rest_of_a_page(wanted, answer):
    assert parse_range(wanted, 10) == answer
