"""Which blocks are read, what is logged, and from when a manifest counts."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.validator.chains import neuron
from validator.network import rules
from validator.network.rules import EffectiveManifest, PendingManifest

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
TWO_HOURS = timedelta(hours=2)
FOUR, TWO = {"always_on.test": 4}, {"always_on.test": 2}


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def after(*reports: tuple[int, dict[str, int]], interval: timedelta = TWO_HOURS):
    state = EffectiveManifest()
    for minutes, counts in reports:
        state = rules.report(state, counts, at(minutes), interval)
    return state


def test_the_first_report_counts_at_once_and_classes_without_executors_are_left_out() -> None:
    assert after((0, FOUR | {"always_on.gpu-24gb": 0})) == EffectiveManifest(FOUR, NOON)


def test_a_change_within_two_hours_is_pending_until_they_are_over() -> None:
    pending = PendingManifest(TWO, at(5), at(120))
    assert after((0, FOUR), (5, TWO)) == EffectiveManifest(FOUR, NOON, pending)
    assert after((0, FOUR), (5, TWO), (119, TWO)) == EffectiveManifest(FOUR, NOON, pending)
    assert after((0, FOUR), (5, TWO), (120, TWO)) == EffectiveManifest(TWO, at(120))


def test_a_change_after_two_hours_counts_at_once_and_the_next_one_waits_again() -> None:
    state = after((0, FOUR), (130, TWO))
    assert state == EffectiveManifest(TWO, at(130))
    again = rules.report(state, FOUR, at(131), TWO_HOURS)
    assert again.pending == PendingManifest(FOUR, at(131), at(250))


def test_a_report_that_goes_back_drops_the_pending_one() -> None:
    assert after((0, FOUR), (5, TWO), (10, FOUR)) == EffectiveManifest(FOUR, NOON)


def test_a_report_after_the_pending_one_was_due_does_not_drop_it() -> None:
    pending = PendingManifest(FOUR, at(121), at(241))
    assert after((0, FOUR), (5, TWO), (121, FOUR)) == EffectiveManifest(TWO, at(121), pending)


def test_another_change_replaces_the_pending_one() -> None:
    assert after((0, FOUR), (5, TWO), (10, {})).pending == PendingManifest({}, at(10), at(120))


def test_without_an_interval_every_change_counts_at_once() -> None:
    assert after((0, FOUR), (1, TWO), interval=timedelta(0)) == EffectiveManifest(TWO, at(1))


def test_a_pending_manifest_counts_from_when_it_is_settled() -> None:
    state = after((0, FOUR), (5, TWO))
    assert rules.settle(state, at(119)) == state
    assert rules.settle(state, at(121)) == EffectiveManifest(TWO, at(121))


@pytest.mark.parametrize(
    ("observed", "head", "expected"),
    [
        (None, 1000, range(280, 1001, 10)),
        (None, 25, range(0, 26, 10)),
        (990, 1009, range(1000, 1010, 10)),
        (1000, 1009, range(1010, 1010, 10)),
        (970, 1000, range(980, 1001, 10)),
        (100, 1000, range(280, 1001, 10)),
    ],
)
def test_the_missing_blocks_of_at_most_a_cycle_are_read(observed, head, expected) -> None:
    found = rules.missing_blocks(observed, head)
    assert list(found) == list(expected)
    assert all(block % rules.STRIDE == 0 for block in found)


def test_stakes_with_a_permit_are_exact_and_others_are_logged_when_they_moved() -> None:
    neurons = [
        neuron(0, "validator", total_stake_rao=1001, validator_permit=True),
        neuron(1, "still", total_stake_rao=1010),
        neuron(2, "moved", total_stake_rao=1011),
        neuron(3, "fell", total_stake_rao=989),
        neuron(4, "new", total_stake_rao=7),
        neuron(5, "poor", total_stake_rao=1),
    ]
    logged = dict.fromkeys(["validator", "still", "moved", "fell"], 1000) | {"poor": 0}
    assert rules.stakes(neurons, logged) == {
        "validator": 1001,
        "still": 1000,
        "moved": 1011,
        "fell": 989,
        "new": 7,
        "poor": 1,
    }


def test_the_past_is_kept_for_three_cycles_at_least() -> None:
    assert rules.kept_blocks(timedelta(days=7)) == 7 * 7200
    assert rules.kept_blocks(timedelta(hours=1)) == 2166


def test_the_time_of_a_block_is_estimated_from_those_that_are_known() -> None:
    head = (110, NOON)
    assert rules.block_time(110, head, None) == NOON
    assert rules.block_time(105, head, None) == NOON - timedelta(seconds=60)
    earlier = (100, NOON - timedelta(seconds=20))
    assert rules.block_time(105, head, earlier) == NOON - timedelta(seconds=10)
    assert rules.block_time(95, head, earlier) == NOON - timedelta(seconds=80)
    assert rules.block_time(105, head, (110, NOON)) == NOON - timedelta(seconds=60)
