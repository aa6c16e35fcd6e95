"""Every block of work is paid once, whatever becomes of the tempo."""

import json

import pytest

from compute_horde.cycles import Cycle, cycle_at
from tests.validator.weights.publishing import (
    CYCLE,
    NETUID,
    OPEN,
    PAID,
    batch,
    chain,
    publish,
)
from validator.scores.actions import exported
from validator.scores.models import Score, ScoredCycle
from validator.scores.recording import replay
from validator.weights import actions, rules, work_due
from validator.weights.models import Submission, WeightsSet

pytestmark = pytest.mark.django_db

# Cycles of 20 blocks become cycles of 30, one of which begins where the window was open.
LONGER = 14
MOVED = cycle_at(OPEN, netuid=NETUID, tempo=LONGER)
NEXT = cycle_at(MOVED.stop, netuid=NETUID, tempo=LONGER)


def due(cycle: Cycle, tempo: int = LONGER) -> tuple[int, int] | None:
    work = work_due.work_due(cycle, netuid=NETUID, tempo=tempo)
    return work and (work.start, work.stop)


def paid_ranges() -> list[tuple[int, int]]:
    paid = WeightsSet.objects.filter(state="published").values("earned_in")
    scored = ScoredCycle.objects.filter(cycle_start__in=paid).order_by("cycle_start")
    return list(scored.values_list("cycle_start", "cycle_stop"))


@pytest.fixture
def _paid() -> None:
    batch(good=1)
    publish(chain())


def test_the_cycle_before_is_paid() -> None:
    assert due(CYCLE, 9) == (PAID.start, PAID.stop)


def publish_in(cycle: Cycle, tempo: int = LONGER) -> list[dict[int, int]]:
    """What is set when the window of a cycle opens."""
    on = chain(rules.window(cycle).start, tempo=tempo)
    publish(on)
    return on.set


@pytest.mark.usefixtures("_paid")
def test_after_a_change_of_the_tempo_what_was_not_paid_yet_is_paid_once() -> None:
    batch(cycle_start=CYCLE.start, better=1)
    assert publish_in(MOVED) == [{2: 65535}]
    batch(cycle_start=MOVED.start, good=1)
    assert publish_in(NEXT) == [{1: 65535}]
    ranges = [(PAID.start, PAID.stop), (PAID.stop, MOVED.start), (NEXT.start - 30, NEXT.start)]
    assert paid_ranges() == ranges
    shortened = ScoredCycle.objects.get(cycle_start=PAID.stop)
    assert replay(exported(shortened).encode())[1]
    document = json.loads(Score.objects.get(cycle=shortened, hotkey="better").document)
    assert (document["cycle_start"], document["cycle_stop"]) == (PAID.stop, MOVED.start)


@pytest.mark.usefixtures("_paid")
def test_work_since_the_last_weights_is_paid_with_the_next_cycle() -> None:
    """The rest of a cycle without a batch, and the blocks between two grids."""
    assert publish_in(MOVED) == [{1: 65535}]
    again = WeightsSet.objects.get(cycle_start=MOVED.start)
    assert (again.earned_in, work_due.is_repeated(again)) == (PAID.start, True)
    assert actions.AGAIN in again.outcome
    assert not work_due.is_repeated(WeightsSet.objects.get(cycle_start=CYCLE.start))
    batch(cycle_start=MOVED.start, better=1)
    assert publish_in(NEXT) == [{2: 65535}]
    assert paid_ranges() == [(PAID.start, PAID.stop), (PAID.stop, NEXT.start)]
    assert Score.objects.filter(cycle__cycle_start=PAID.start, u16__gt=0).count() == 1


@pytest.mark.usefixtures("_paid")
def test_where_all_is_paid_the_last_weights_are_set_again() -> None:
    shorter = cycle_at(CYCLE.stop, netuid=NETUID, tempo=1)
    ScoredCycle.objects.update(cycle_stop=shorter.stop)
    assert publish_in(shorter, 1) == [{1: 65535}]
    again = WeightsSet.objects.get(cycle_start=shorter.start)
    assert (again.earned_in, again.state) == (PAID.start, "published")
    assert ScoredCycle.objects.count() == 1


@pytest.mark.usefixtures("_paid")
def test_no_second_weights_are_set_in_a_window() -> None:
    within = Cycle(MOVED.start - 15, MOVED.start + 15, 0)
    assert OPEN in rules.window(within)
    assert due(within) is None


@pytest.mark.parametrize(
    ("cycle", "tempo", "expires"),
    [(MOVED, LONGER, CYCLE.start + 1), (Cycle(CYCLE.stop, CYCLE.stop + 20, 0), 9, OPEN + 30)],
)
def test_what_a_transaction_may_yet_pay_is_waited_for(
    cycle: Cycle, tempo: int, expires: int
) -> None:
    batch(good=1)
    held = WeightsSet.objects.create(cycle_start=CYCLE.start, earned_in=PAID.start)
    Submission.objects.create(
        weights_set=held,
        values={},
        hotkeys={},
        sent_in_block=CYCLE.start,
        expires_in_block=expires,
    )
    assert due(cycle, tempo) is None
    Submission.objects.update(state="expired")
    assert due(cycle, tempo) is not None


@pytest.mark.usefixtures("_paid")
def test_windows_that_were_missed_do_not_come_back() -> None:
    late = Cycle(CYCLE.start + 60, CYCLE.stop + 60, 0)
    assert due(late, 9) == (late.start - 20, late.start)


@pytest.mark.usefixtures("_paid")
def test_what_was_scored_once_is_paid_as_it_was_scored() -> None:
    """Its window was cut off by the change."""
    batch(cycle_start=CYCLE.start, better=1)
    ScoredCycle.objects.create(cycle_start=PAID.stop, cycle_stop=MOVED.start - 3)
    assert due(MOVED) == (PAID.stop, MOVED.start - 3)


def test_a_batch_of_the_work_is_waited_for() -> None:
    batch(state="running", good=1)
    assert work_due.is_batch_running(PAID)
    assert not work_due.is_batch_running(CYCLE)


def test_of_rows_that_pay_the_same_work_the_first_accepted_one_is_shown() -> None:
    for number, state in enumerate(("failed", "published", "published"), 1):
        WeightsSet.objects.create(cycle_start=number, earned_in=0, state=state)
    WeightsSet.objects.create(cycle_start=8, earned_in=5)
    shown = work_due.paying([0, 5, 6])
    assert {start: one.cycle_start for start, one in shown.items()} == {0: 2, 5: 8}
