"""Declined offers are counted by minute, parties, class and cause."""

from collections import Counter

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from miner.earnings import declines
from miner.earnings.declines import DeclineCounter, DeclinedOffer, store
from miner.earnings.models import DeclineCount
from tests.miner.conftest import PARTIES
from tests.miner.earnings.rows import TEST

BUSY = DeclinedOffer(PARTIES, TEST, "busy", with_excuses=True)


@pytest.mark.django_db
def test_counts_of_a_minute_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(declines.timezone, "now", lambda: now)
    store(Counter([BUSY, BUSY, BUSY._replace(cause="below_minimum_price")]))
    store(Counter([BUSY, BUSY._replace(with_excuses=False)]))
    rows = DeclineCount.objects.values_list("cause", "with_excuses", "count")
    assert sorted(rows) == [
        ("below_minimum_price", True, 1),
        ("busy", False, 1),
        ("busy", True, 3),
    ]


def counted() -> int:
    return sum(DeclineCount.objects.values_list("count", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads")
async def test_what_was_counted_is_stored_when_the_miner_ends() -> None:
    counter = DeclineCounter()
    for _ in range(3):
        counter.put(BUSY)
    await counter.close()
    assert await in_database(counted) == 3
    counter.put(BUSY)
    await counter.close()
    assert await in_database(counted) == 4
