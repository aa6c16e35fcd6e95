"""Weights are set once per cycle, whatever goes wrong."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainRefused, ChainUnreachable, RateLimited
from compute_horde.cycles import cycle_at
from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import configured
from tests.validator.peers import VALIDATOR, request
from validator.jobs import actions as jobs
from validator.synthetic.models import Batch, Puzzle
from validator.weights import actions
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db

NETUID = 8
CYCLE = cycle_at(1000, netuid=NETUID, tempo=9)
PAID = cycle_at(CYCLE.start - 1, netuid=NETUID, tempo=9)
OPEN = CYCLE.start + 10
CONFIG = configured(netuid=NETUID, class_weights={ExecutorClass.always_on__test: Decimal(1)})
US = neuron(0, VALIDATOR.ss58_address, last_update=PAID.start)


def chain(block: int = OPEN, **fields: Any) -> FakeChain:
    neurons = [US, neuron(1, "good"), neuron(2, "better"), neuron(3, "wrong")]
    return FakeChain(block=block, **({"neurons": neurons} | fields))


def batch(state: str = "done", cycle_start: int | None = PAID.start, **points: int) -> None:
    held = Batch.objects.create(
        cycle_start=cycle_start, block=1, seed="s", state=state, alive_at=timezone.now()
    )
    for hotkey, count in points.items():
        Puzzle.objects.create(
            batch=held,
            job=jobs.order(request(signer=None), miner=hotkey),
            kind="hash",
            seed="s",
            hotkey=hotkey,
            executor_class="always_on.test",
            points=count,
        )


def row() -> WeightsSet:
    return WeightsSet.objects.get(cycle_start=CYCLE.start)


def test_the_window_opens_and_what_was_earned_in_the_last_cycle_is_set() -> None:
    batch(good=1, better=3, wrong=0)
    on = chain()
    actions.publish(on, CONFIG)
    assert on.set == [{1: Decimal("0.25"), 2: Decimal("0.75")}]
    assert (row().state, row().block, row().earned_in) == ("published", OPEN, PAID.start)
    assert row().weights == {"better": "0.75", "good": "0.25"}


def test_weights_are_never_set_twice_in_a_cycle() -> None:
    batch(good=1)
    on = chain()
    for block in (OPEN, OPEN + 1, CYCLE.stop - 1):
        on.block = block
        actions.publish(on, CONFIG)
    assert len(on.set) == 1


@pytest.mark.parametrize("block", [CYCLE.start, OPEN - 1, CYCLE.stop])
def test_outside_of_the_window_nothing_is_set(block: int) -> None:
    batch(good=1)
    on = chain(block)
    actions.publish(on, CONFIG)
    assert on.set == []


@pytest.mark.parametrize(
    "problem",
    [
        ChainUnreachable("no answer"),
        RateLimited("too soon", "rate_limited"),
        ChainRefused("bad day", "unknown"),
    ],
)
def test_a_failed_try_is_tried_again_in_the_next_block(problem: Exception) -> None:
    batch(good=1)
    on = chain(problems=[problem])
    actions.publish(on, CONFIG)
    assert (row().state, row().attempts) == ("trying", 1)
    assert str(problem) in row().outcome
    actions.publish(on, CONFIG)
    assert on.set == []
    on.block += 1
    actions.publish(on, CONFIG)
    assert (row().state, len(on.set)) == ("published", 1)


def test_a_try_that_came_true_unheard_is_not_repeated() -> None:
    batch(good=1)
    on = chain(problems=[ChainUnreachable("too late to say")])
    actions.publish(on, CONFIG)
    on.block += 1
    on.neurons[0] = neuron(0, VALIDATOR.ss58_address, last_update=on.block)
    actions.publish(on, CONFIG)
    assert (row().state, on.set) == ("published", [])
    assert "found on the chain" in row().outcome


def test_a_worker_that_died_while_trying_is_followed_by_another_in_the_same_window() -> None:
    batch(good=1)
    assert actions.claim(CYCLE, PAID, OPEN)
    on = chain(OPEN + 1)
    actions.publish(on, CONFIG)
    assert on.set == []
    on.block = OPEN + 2
    actions.publish(on, CONFIG)
    assert len(on.set) == 1


def test_two_workers_do_not_try_at_once() -> None:
    assert actions.claim(CYCLE, PAID, OPEN)
    assert actions.claim(CYCLE, PAID, OPEN) is None


def test_a_window_that_closed_is_marked_failed_and_the_next_cycle_works() -> None:
    batch(good=1)
    batch(cycle_start=CYCLE.start, better=1)
    on = chain(problems=[ChainUnreachable("down")])
    actions.publish(on, CONFIG)
    on.block = OPEN + 20
    actions.publish(on, CONFIG)
    assert row().state == "failed"
    assert on.set == [{2: Decimal(1)}]


def test_a_miner_that_left_the_subnet_does_not_stop_the_others() -> None:
    batch(good=1, gone=9)
    on = chain()
    actions.publish(on, CONFIG)
    assert list(on.set[0]) == [1]


def test_without_right_answers_nothing_is_set_and_the_row_says_so() -> None:
    batch(wrong=0)
    on = chain()
    actions.publish(on, CONFIG)
    assert (row().state, on.set) == ("empty", [])


@pytest.mark.parametrize("fields", [{"state": "failed"}, {"cycle_start": None}])
def test_failed_and_extra_batches_earn_nothing(fields: dict[str, Any]) -> None:
    batch(good=1, **fields)
    on = chain()
    actions.publish(on, CONFIG)
    assert on.set == []


def test_a_batch_that_still_runs_is_waited_for() -> None:
    batch(state="running", good=1)
    actions.publish(chain(), CONFIG)
    assert not WeightsSet.objects.exists()
