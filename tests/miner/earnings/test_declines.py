"""Declined offers are counted by minute, parties, class and cause."""

from collections import Counter

import pytest
from django.db import OperationalError
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


def cannot_be_stored(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Each attempt loses its connection after so many statements."""
    update_or_create, done = DeclineCount.objects.update_or_create, Counter[str]()

    def lose(**values: object) -> object:
        done["statements"] += 1
        if done["statements"] % (after + 1) == 0:
            raise OperationalError("connection lost")
        return update_or_create(**values)

    monkeypatch.setattr(DeclineCount.objects, "update_or_create", lose)


@pytest.mark.django_db(transaction=True)
def test_all_counts_are_stored_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    cannot_be_stored(monkeypatch, after=1)
    with pytest.raises(OperationalError):
        store(Counter([BUSY, BUSY._replace(with_excuses=False)]))
    assert counted() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads")
async def test_what_could_not_be_stored_is_stored_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = DeclineCounter()
    with monkeypatch.context() as away:
        away.setattr("compute_horde.django.database.PATIENCE_SECONDS", 0)
        cannot_be_stored(away, after=0)
        counter.put(BUSY)
        await counter.close()
    assert await in_database(counted) == 0
    counter.put(BUSY)
    await counter.close()
    assert await in_database(counted) == 2
    with monkeypatch.context() as away:
        away.setattr("compute_horde.django.database.PATIENCE_SECONDS", 0)
        cannot_be_stored(away, after=0)
        counter.put(BUSY)
        await counter.close()
    await counter.close()
    assert await in_database(counted) == 3
