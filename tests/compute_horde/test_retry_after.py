"""Both forms of Retry-After are parsed, and nothing else."""

from datetime import UTC, datetime

import pytest

from compute_horde import retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "Thu, 01 Jan 2026 12:01:30 GMT"}, 90),
        ({"Retry-After": "Thursday, 01-Jan-26 12:01:30 GMT"}, 90),
        ({"Retry-After": "Thu Jan  1 12:01:30 2026"}, 90),
        ({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0),
        (
            {
                "Retry-After": "Thu, 01 Jan 2015 12:01:30 GMT",
                "Date": "Thu, 01 Jan 2015 12:01:00 GMT",
            },
            30,
        ),
    ],
)
def test_both_forms_are_read_by_the_server_s_own_clock(headers, seconds):
    assert retry_after.seconds(headers, NOW) == seconds


@pytest.mark.parametrize(
    "sent", ["", "-1", "1.5", "soon", "9" * 5000, "Thu, 99 Jan 2026 12:01:30 GMT"]
)
def test_what_is_neither_is_none(sent):
    assert retry_after.seconds({"Retry-After": sent}, NOW) is None


def test_an_answer_without_it_asks_for_nothing():
    assert retry_after.seconds({}) is None
