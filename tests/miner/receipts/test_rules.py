"""Which page a receipt is on and which part of a page is asked for."""

from datetime import UTC, datetime

import pytest

from miner.receipts.rules import Slice, page_at, slice_of


def test_a_page_lasts_five_minutes():
    assert page_at(datetime.fromtimestamp(299.9, UTC)) == 0
    assert page_at(datetime.fromtimestamp(300, UTC)) == 1


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (None, Slice(200)),
        ("bytes=0-", Slice(206, 0)),
        ("bytes=9-", Slice(206, 9)),
        ("bytes=10-", Slice(416, 10)),
        ("bytes=-5", Slice(200)),
        ("bytes=1-5", Slice(200)),
        ("lines=1-", Slice(200)),
        ("bytes=99999999999999999999-", Slice(200)),
    ],
)
def test_a_reader_gets_what_it_has_not_yet(wanted, answer):
    assert slice_of(wanted, 10) == answer
