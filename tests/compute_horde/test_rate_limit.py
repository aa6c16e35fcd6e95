"""The rate limit."""

import pytest

from compute_horde import rate_limit
from compute_horde.rate_limit import RateLimit


def test_a_burst_may_be_and_then_it_is_told_when_the_next_one_may() -> None:
    limit = RateLimit(per_minute=60, burst=3)
    assert [limit.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 1.0]
    assert limit.take("b", 100.0) == 0
    assert limit.take("a", 100.5) == pytest.approx(0.5)
    assert limit.take("a", 101.0) == 0


def test_in_the_long_run_it_is_so_many_per_minute() -> None:
    limit = RateLimit(per_minute=30)
    taken = [limit.take("a", second / 10) for second in range(6000)]
    assert taken.count(0) == pytest.approx(30 + 10 * 30, abs=1)


def test_looking_counts_nothing() -> None:
    limit = RateLimit(per_minute=60, burst=1)
    assert [limit.wait("a", 0.0) for _ in range(3)] == [0, 0, 0]
    limit.take("a", 0.0)
    assert limit.wait("a", 0.25) == pytest.approx(0.75)


def test_a_clock_that_stands_still_gives_nothing_away() -> None:
    limit = RateLimit(per_minute=60, burst=1)
    assert [limit.take("a", 5.0), limit.take("a", 4.0)] == [0, 1.0]


def test_memory_is_bounded_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_KEYS", 100)
    limit = RateLimit(per_minute=60, burst=1)
    for n in range(1000):
        limit.take(n, 0.0)
    assert len(limit._buckets) <= 100
    assert limit.take(999, 0.0) > 0
