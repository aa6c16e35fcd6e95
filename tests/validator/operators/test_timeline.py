"""The list of cycles, newest first, and the states of one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.validator.conftest import configured
from tests.validator.operators import cycles
from tests.validator.scores.cycles import CYCLE, NETUID, attempt
from validator.network.models import Snapshot
from validator.operators import timeline
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db

CONFIG = configured(netuid=NETUID)


def seen(block: int) -> None:
    Snapshot.objects.create(block=block, tempo=360, neurons=0)


def test_cycles_of_all_tables_are_listed_once_newest_first() -> None:
    held = cycles.batch(CYCLE.start)
    attempt(held, "alice")
    attempt(held, "bob", "wrong_answer")
    cycles.scored(CYCLE.start, {})
    cycles.weights(CYCLE.start, state="failed", outcome="no permit")
    cycles.batch(CYCLE.stop, state="missed", missed_because="no_permit")
    cycles.weights(CYCLE.start - cycles.LENGTH, state="published")
    found, has_more = timeline.lines()
    assert [line.start for line in found] == [
        CYCLE.stop,
        CYCLE.start,
        CYCLE.start - cycles.LENGTH,
    ]
    missed, full, paid = found
    assert (missed.problems, missed.ran_at) == ("no_permit", None)
    assert (full.right, full.attempts, full.problems) == (1, 2, "no permit")
    assert full.ran_at == held.started_at
    assert (paid.batch, paid.ran_at, paid.problems) == (None, None, "")
    assert not has_more


def test_pages_go_back_and_cost_the_same_however_full_they_are() -> None:
    counts = []
    for numbers in (range(1), range(1, timeline.PER_PAGE + 2)):
        for number in numbers:
            cycles.batch(number * cycles.LENGTH)
        with CaptureQueriesContext(connection) as queries:
            found, has_more = timeline.lines()
        counts.append(len(queries))
    assert (len(found), has_more) == (timeline.PER_PAGE, True)
    assert counts[0] == counts[1]
    older, has_more = timeline.lines(found[-1].start)
    assert ([line.start for line in older], has_more) == ([cycles.LENGTH, 0], False)


@pytest.mark.parametrize(
    ("block", "state"),
    [
        (CYCLE.start - 1, "it begins at block"),
        (CYCLE.start, "running; it ends at block"),
        (CYCLE.stop, "over; it is paid until block"),
        (CYCLE.stop + cycles.LENGTH, "over, as is the cycle that pays it"),
    ],
)
def test_a_cycle_says_where_the_chain_is_in_it(block: int, state: str) -> None:
    seen(block)
    shown = timeline.timeline(CYCLE.start, CONFIG)
    assert shown is not None
    assert shown.state.startswith(state)
    assert [stage.title for stage in shown.stages] == ["Batch", "Receipts", "Scores", "Weights"]
    assert shown.cycle.stop == CYCLE.stop


def test_a_scored_cycle_is_known_without_the_chain_and_keeps_its_length() -> None:
    assert timeline.timeline(CYCLE.start, CONFIG) is None
    cycles.scored(CYCLE.start, {})
    shown = timeline.timeline(CYCLE.start, CONFIG)
    assert shown is not None
    assert (shown.cycle.stop, shown.state) == (CYCLE.stop, "the chain was not read yet")


def test_a_block_in_the_middle_of_a_cycle_begins_none() -> None:
    seen(CYCLE.start)
    assert timeline.timeline(CYCLE.start + 1, CONFIG) is None
    cycles.batch(CYCLE.start + 1)
    assert timeline.timeline(CYCLE.start + 1, CONFIG) is not None


def test_each_cycle_that_is_listed_has_a_page() -> None:
    seen(CYCLE.start)
    # Weights are kept when the batch and the scores are deleted.
    WeightsSet.objects.create(cycle_start=7, earned_in=3)
    assert timeline.timeline(3, CONFIG) is not None
