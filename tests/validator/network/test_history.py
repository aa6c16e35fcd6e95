"""Questions to the change log, also to one of 100,000 changes."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.query_plans import indexes_used
from validator.network import change_log, history
from validator.network.models import Fact, ObservedBlocks, Snapshot

pytestmark = pytest.mark.django_db

NOW = timezone.now()
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


@pytest.fixture
def many() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)


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


def test_what_was_read_holds_until_the_next_block_of_the_grid() -> None:
    for stream in ObservedBlocks.Stream:
        ObservedBlocks.objects.create(stream=stream, first_block=100, last_block=120, last_at=NOW)
    known = {
        block: (state.known_from, state.manifests_known_from)
        for block in (99, 100, 120, 121, 129, 130)
        if (state := history.network_at(block))
    }
    assert known == {
        99: (None, None),
        100: (100, 100),
        120: (100, 100),
        121: (100, None),
        129: (100, None),
        130: (None, None),
    }


def test_a_hotkey_that_nobody_knows_has_no_changes() -> None:
    assert history.latest_changes("nobody", 5, kinds=Fact.Kind.values) == []
    assert history.changes("nobody", 0) == []
