"""Facts are logged when they change, and two never hold for one block."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from validator.network import change_log
from validator.network.models import Fact, ManifestStatus, Neuron, ObservedBlocks, Snapshot

pytestmark = pytest.mark.django_db

NOW = timezone.now()
STAKE = Fact.Kind.STAKE
CHAIN = ObservedBlocks.Stream.CHAIN


def record(block: int, **stakes: int) -> int:
    values = {(hotkey, ""): rao for hotkey, rao in stakes.items()}
    return change_log.record(STAKE, values, block, NOW)


def logged() -> list[tuple[str, int, int, int | None]]:
    rows = Fact.objects.order_by("subject", "from_block")
    return list(rows.values_list("subject", "value", "from_block", "until_block"))


def test_a_row_is_written_for_a_change_only() -> None:
    assert record(10, a=1, b=1) == 2
    assert record(20, a=1, b=1) == 0
    assert record(30, a=2, c=5) == 3
    assert logged() == [("a", 1, 10, 30), ("a", 2, 30, None), ("b", 1, 10, 30), ("c", 5, 30, None)]
    assert change_log.present(STAKE) == {("a", ""): 2, ("c", ""): 5}


def test_kinds_and_items_are_apart() -> None:
    record(10, a=1)
    counts = {("a", "always_on.test"): 1, ("a", "always_on.gpu-24gb"): 1}
    change_log.record(Fact.Kind.MANIFEST, counts, 10, NOW)
    assert Fact.objects.filter(until_block=None).count() == 3


def test_a_second_record_of_a_block_replaces_the_first() -> None:
    record(10, a=1, b=1)
    record(20, a=2)
    record(20, a=3, b=1)
    assert logged() == [("a", 1, 10, 20), ("a", 3, 20, None), ("b", 1, 10, 20), ("b", 1, 20, None)]


@pytest.mark.parametrize(
    ("first", "until"), [(15, None), (15, 16), (5, 11), (5, None), (10, 20), (19, 25)]
)
def test_the_database_refuses_two_facts_for_one_block(first: int, until: int | None) -> None:
    record(10, a=1)
    record(20)
    row = Fact(kind=STAKE, subject="a", value=9, from_block=first, until_block=until, began_at=NOW)
    with pytest.raises(IntegrityError, match="one_fact_per_block"), transaction.atomic():
        row.save()
    row.subject = "b"
    row.save()


def test_the_database_refuses_a_fact_that_ends_before_it_begins() -> None:
    record(10, a=1)
    with pytest.raises(IntegrityError, match="fact_holds"), transaction.atomic():
        Fact.objects.update(until_block=10)


def test_the_database_refuses_runs_that_overlap() -> None:
    change_log.mark_observed(CHAIN, 10, NOW, None)
    change_log.mark_observed(CHAIN, 20, NOW, change_log.last_observed(CHAIN))
    with pytest.raises(IntegrityError, match="one_run_per_block"), transaction.atomic():
        change_log.mark_observed(CHAIN, 15, NOW, None)
    change_log.mark_observed(ObservedBlocks.Stream.MANIFESTS, 15, NOW, None)


def test_only_one_process_at_a_time_holds_the_lock() -> None:
    other = connection.copy()
    try:
        with transaction.atomic():
            change_log.lock()
            with other.cursor() as cursor:
                cursor.execute(change_log._LOCK.replace("pg_advisory", "pg_try_advisory"))
                assert cursor.fetchone() == (False,)
    finally:
        other.close()


def test_the_old_is_deleted_and_what_holds_stays() -> None:
    record(10, a=1, b=1)
    record(1000, a=2, b=1)
    record(9000, a=3, b=1)
    for first, last in [(10, 500), (600, 9000)]:
        ObservedBlocks.objects.create(stream=CHAIN, first_block=first, last_block=last, last_at=NOW)
    Snapshot.objects.create(block=10_000, tempo=360, neurons=2)
    # 7200 blocks a day: what ended before block 2800 goes.
    assert change_log.evict(timedelta(days=1)) == 1
    assert logged() == [("a", 2, 1000, 9000), ("a", 3, 9000, None), ("b", 1, 10, None)]
    runs = ObservedBlocks.objects.values_list("first_block", "last_block")
    assert list(runs) == [(2800, 9000)]


def test_three_cycles_are_kept_at_least_and_everything_without_a_block() -> None:
    record(10, a=1)
    record(8000, a=2)
    assert change_log.evict(timedelta(hours=1)) == 0
    Snapshot.objects.create(block=8000 + 2165, tempo=360, neurons=1)
    assert change_log.evict(timedelta(hours=1)) == 0
    Snapshot.objects.create(block=8000 + 2166, tempo=360, neurons=1)
    assert change_log.evict(timedelta(hours=1)) == 1


def test_the_manifest_of_a_miner_that_left_long_ago_is_forgotten() -> None:
    Snapshot.objects.create(block=8000, tempo=360, neurons=1)
    Neuron.objects.create(hotkey="here", coldkey="c", uid=0, seen_at=NOW)
    Neuron.objects.create(hotkey="left", coldkey="c", uid=0, seen_at=NOW, registered=False)
    for hotkey, days in [("here", 9), ("left", 9), ("just left", 1)]:
        ManifestStatus.objects.create(hotkey=hotkey, answered_at=NOW - timedelta(days=days))
    change_log.evict(timedelta(days=7))
    assert [row.hotkey for row in ManifestStatus.objects.all()] == ["here", "just left"]
