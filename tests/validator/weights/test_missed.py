"""A window in which nothing was tried is recorded as missed, and only such a one."""

import logging

import pytest

from tests.validator.weights.publishing import CYCLE, OPEN, batch, chain, publish
from validator.weights import missed
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db
LENGTH = CYCLE.stop - CYCLE.start


def states() -> list[tuple[int, str]]:
    rows = WeightsSet.objects.order_by("cycle_start").values_list("cycle_start", "state")
    return [((start - CYCLE.start) // LENGTH, state) for start, state in rows]


def test_windows_that_nobody_saw_are_recorded_once(caplog: pytest.LogCaptureFixture) -> None:
    batch(good=1)
    on = chain()
    publish(on)
    on.block = OPEN + 3 * LENGTH
    with caplog.at_level(logging.ERROR):
        publish(on)
        publish(on)
    assert states() == [(0, "published"), (1, "failed"), (2, "failed"), (3, "empty")]
    row = WeightsSet.objects.get(cycle_start=CYCLE.start + LENGTH)
    assert (row.earned_in, row.outcome) == (CYCLE.start, missed.UNTRIED)
    assert [one.cycles for one in caplog.records if "missed" in one.message] == [2]


def test_before_its_first_cycle_a_validator_missed_none() -> None:
    publish(chain())
    assert states() == [(0, "empty")]


def test_only_the_last_windows_of_a_long_time_are_recorded() -> None:
    batch(good=1)
    on = chain()
    publish(on)
    on.block = OPEN + 100 * LENGTH
    publish(on)
    assert [state for _, state in states()].count("failed") == missed.MOST_CYCLES
    assert (99, "failed") in states()


def test_after_a_change_of_the_tempo_no_window_is_missed() -> None:
    batch(good=1)
    on = chain()
    publish(on)
    on.tempo, on.block = 11, OPEN + 4 * LENGTH
    publish(on)
    assert "failed" not in {state for _, state in states()}


def test_work_that_was_paid_elsewhere_is_not_missed() -> None:
    batch(good=1)
    on = chain()
    publish(on)
    paid = WeightsSet.objects.get(cycle_start=CYCLE.start)
    WeightsSet.objects.filter(pk=paid.pk).update(cycle_start=CYCLE.start - LENGTH)
    on.block = OPEN + LENGTH
    publish(on)
    assert 0 not in dict(states())
