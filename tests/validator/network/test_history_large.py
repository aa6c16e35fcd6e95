"""Questions to a change log of 100,000 changes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import pytest_django
from django.db import connection

from tests.query_plans import indexes_used
from validator.network import change_log, history
from validator.network.models import Fact, Snapshot

pytestmark = pytest.mark.django_db

# 250 neurons with 400 stakes each, a new one every 126 blocks, in a week of 50,400 blocks.
FILL = """
INSERT INTO network_fact (kind, subject, item, value, from_block, until_block, began_at)
SELECT 'stake', 'm' || neuron, '', to_jsonb(number), number * 126,
    CASE WHEN number < 399 THEN (number + 1) * 126 END, now()
FROM generate_series(0, 249) AS neuron, generate_series(0, 399) AS number;
INSERT INTO network_fact (kind, subject, item, value, from_block, began_at)
SELECT 'neuron', 'm' || neuron, '',
    jsonb_build_object('uid', neuron, 'coldkey', 'c', 'permit', true), 0, now()
FROM generate_series(0, 249) AS neuron;
ANALYZE network_fact
"""


# Checking each row by itself would take half a minute.
CONSTRAINT = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
DROP = "ALTER TABLE network_fact DROP CONSTRAINT one_fact_per_block"
ADD = "ALTER TABLE network_fact ADD CONSTRAINT one_fact_per_block"


@pytest.fixture(scope="module")
def many(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    """100,000 changes, for all tests of this file."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(CONSTRAINT, ["one_fact_per_block"])
        (definition,) = cursor.fetchone()
        cursor.execute(DROP)
        cursor.execute(FILL)
        cursor.execute(f"{ADD} {definition}")
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE network_fact")


def test_any_block_of_100_000_changes_is_read_by_an_index(many: None) -> None:
    assert "fact_by_blocks" in indexes_used(lambda: history.network_at(25_000))
    assert "fact_by_blocks" in indexes_used(lambda: history.network_at(50_390))
    for block in (0, 125, 126, 25_000, 50_399):
        neurons = history.network_at(block).neurons
        assert len(neurons) == 250
        assert {one.stake_rao for one in neurons.values()} == {min(block // 126, 399)}


def test_the_changes_of_one_hotkey_are_read_by_an_index(many: None) -> None:
    used = indexes_used(lambda: history.latest_changes("m7", 50, kinds=["stake"]))
    assert "fact_by_subject" in used
    found = history.changes("m7", 1000, 1300)
    assert [(one.block, one.before, one.after) for one in found] == [
        (1008, 7, 8),
        (1134, 8, 9),
        (1260, 9, 10),
    ]
    newest = history.latest_changes("m7", 2, kinds=["stake"])
    assert [(one.block, one.before, one.after) for one in newest] == [
        (50_274, 398, 399),
        (50_148, 397, 398),
    ]


def test_the_present_is_read_and_the_old_deleted_by_an_index(many: None) -> None:
    assert "one_present_fact" in indexes_used(lambda: change_log.present(Fact.Kind.NEURON))
    Snapshot.objects.create(block=50_400, tempo=360, neurons=250)
    used = indexes_used(lambda: change_log.evict(timedelta(days=6, hours=23)))
    assert "fact_by_end" in used
    assert history.network_at(50_399).neurons["m1"].stake_rao == 399


def test_a_cycle_is_read_at_once_and_equals_its_blocks(
    many: None, django_assert_num_queries
) -> None:
    with django_assert_num_queries(3):
        cycle = history.between(1000, 1722)
    for block in (1000, 1007, 1008, 1721):
        assert cycle.at(block) == history.network_at(block)
    assert cycle.change_blocks() == [1000, 1008, 1134, 1260, 1386, 1512, 1638]
