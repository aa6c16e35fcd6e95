"""Weights are set once per cycle, even after failures."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import (
    ChainRefused,
    ChainUnreachable,
    RateLimited,
)
from tests.validator.chains import neuron
from tests.validator.weights.publishing import (
    CONFIG,
    CYCLE,
    OPEN,
    PAID,
    US,
    batch,
    chain,
    publish,
    row,
)
from validator.network.models import Snapshot
from validator.synthetic.models import Puzzle
from validator.weights import actions
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db


def test_the_window_opens_and_what_was_earned_in_the_last_cycle_is_set() -> None:
    batch(good=1, better=3, wrong=0)
    on = chain()
    publish(on)
    assert on.set == [{1: 21845, 2: 65535}]
    assert (row().state, row().block, row().earned_in) == ("published", OPEN, PAID.start)
    assert row().weights == {"better": "0.75", "good": "0.25"}


def test_weights_are_never_set_twice_in_a_cycle() -> None:
    batch(good=1)
    on = chain()
    for block in (OPEN, OPEN + 1, CYCLE.stop - 1):
        on.block = block
        publish(on)
    assert len(on.set) == 1


@pytest.mark.parametrize("block", [CYCLE.start, OPEN - 1, CYCLE.stop])
def test_outside_of_the_window_nothing_is_set(block: int) -> None:
    batch(good=1)
    on = chain(block)
    publish(on)
    assert on.set == []


@pytest.mark.parametrize(
    "problem",
    [
        RateLimited("too soon", "rate_limited"),
        ChainRefused("bad day", "unknown"),
    ],
)
def test_a_failed_try_is_tried_again_in_the_next_block(problem: Exception) -> None:
    batch(good=1)
    on = chain(problems=[problem])
    publish(on)
    assert (row().state, row().attempts) == ("trying", 1)
    assert str(problem) in row().outcome
    publish(on)
    assert on.set == []
    on.block += 1
    publish(on)
    assert (row().state, len(on.set)) == ("published", 1)


def test_a_chain_that_cannot_be_reached_is_tried_again_in_the_next_block() -> None:
    batch(good=1)
    on = chain()

    def down() -> None:
        raise ChainUnreachable("no node")

    Snapshot.objects.create(block=OPEN, tempo=9, neurons=0)
    actions.set_weights_if_due(down, CONFIG)
    assert "no node" in row().outcome
    on.block += 1
    publish(on)
    assert len(on.set) == 1


@pytest.mark.parametrize(
    ("us", "hyper", "reason"),
    [
        ({"validator_permit": False}, {}, "no validator permit"),
        ({}, {"weights_version": 3}, "requires weights of version 3"),
        ({"last_update": OPEN - 1}, {"weights_rate_limit": 5}, "rate limit"),
    ],
)
def test_what_the_chain_would_refuse_is_not_sent(
    us: dict[str, Any], hyper: dict[str, int], reason: str
) -> None:
    batch(good=1)
    on = chain(hyper=hyper)
    on.neurons[0] = replace(US, **us)
    publish(on)
    assert (on.set, row().attempts, row().state) == ([], 0, "trying")
    assert reason in row().outcome


def test_an_unregistered_validator_sends_nothing_and_says_so() -> None:
    batch(good=1)
    on = chain(neurons=[neuron(1, "good")])
    publish(on)
    assert (on.set, row().state) == ([], "trying")
    assert "not registered" in row().outcome


def test_the_shares_of_a_cycle_are_computed_once() -> None:
    batch(good=1)
    on = chain(problems=[ChainRefused("bad day", "unknown")])
    publish(on)
    Puzzle.objects.update(outcome="wrong_answer", blamed="miner")
    on.block += 1
    publish(on)
    assert on.set == [{1: 65535}]


def test_a_uid_that_changed_hands_between_two_attempts_gets_nothing() -> None:
    batch(good=1, better=1)
    on = chain(problems=[ChainRefused("bad day", "unknown")])
    publish(on)
    on.neurons[1] = neuron(1, "newcomer")
    on.block += 1
    publish(on)
    assert on.set == [{2: 65535}]


def test_a_window_that_closes_is_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    batch(good=1)
    on = chain(problems=[ChainRefused("bad day", "unknown"), ChainRefused("bad day", "unknown")])
    publish(on)
    assert "the window for weights is closing" not in caplog.messages
    on.block = CYCLE.stop - 3
    publish(on)
    assert "the window for weights is closing" in caplog.messages


def test_without_a_fresh_look_at_the_chain_nothing_is_done() -> None:
    batch(good=1)
    Snapshot.objects.create(block=OPEN, tempo=9, neurons=0)
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(hours=1))
    actions.set_weights_if_due(lambda: nullcontext(chain()), CONFIG)
    assert not WeightsSet.objects.exists()


def test_a_worker_that_died_while_sending_is_followed_by_another_in_the_same_window() -> None:
    batch(good=1)
    on = chain(problems=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        publish(on)
    on.block += 1
    publish(on)
    assert on.set == []
    on.block += 7
    publish(on)
    assert (len(on.set), row().state) == (1, "published")


def test_a_window_that_closed_is_marked_failed_and_the_next_cycle_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch(good=1)
    batch(cycle_start=CYCLE.start, better=1)
    on = chain(problems=[ChainUnreachable("down")])
    publish(on)
    on.block = OPEN + 20
    publish(on)
    on.block += 1
    publish(on)
    assert row().state == "failed"
    assert "a window for weights was missed" in caplog.messages
    assert on.set == [{2: 65535}]


def test_a_miner_that_left_the_subnet_does_not_stop_the_others() -> None:
    batch(good=1, gone=9)
    on = chain()
    publish(on)
    assert list(on.set[0]) == [1]


def test_without_right_answers_nothing_is_set_and_the_row_says_so() -> None:
    batch(wrong=0)
    on = chain()
    publish(on)
    assert (row().state, on.set) == ("empty", [])


@pytest.mark.parametrize("fields", [{"state": "failed"}, {"cycle_start": None}])
def test_failed_and_extra_batches_earn_nothing(fields: dict[str, Any]) -> None:
    batch(good=1, **fields)
    on = chain()
    publish(on)
    assert on.set == []


def test_a_batch_that_still_runs_is_waited_for() -> None:
    batch(state="running", good=1)
    publish(chain())
    assert not WeightsSet.objects.exists()
