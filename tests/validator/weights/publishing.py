"""Runs the task that sets weights, as soon after a read of the chain as it does."""

from contextlib import nullcontext
from decimal import Decimal
from typing import Any

from django.utils import timezone

from compute_horde.cycles import cycle_at
from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import configured
from tests.validator.scores.cycles import attempt, store_neurons
from validator.network.models import Snapshot
from validator.synthetic.models import Batch
from validator.weights import actions
from validator.weights.models import WeightsSet

NETUID = 8
CYCLE = cycle_at(1000, netuid=NETUID, tempo=9)
PAID = cycle_at(CYCLE.start - 1, netuid=NETUID, tempo=9)
OPEN = CYCLE.start + 10
CONFIG = configured(netuid=NETUID, class_weights={ExecutorClass.always_on__test: Decimal(1)})
US = neuron(0, VALIDATOR.ss58_address, last_update=PAID.start, validator_permit=True)


def chain(block: int = OPEN, **fields: Any) -> FakeChain:
    neurons = [US, neuron(1, "good"), neuron(2, "better"), neuron(3, "wrong")]
    return FakeChain(block=block, **({"neurons": neurons} | fields))


def publish(on: FakeChain) -> None:
    """Publish like the task does, soon after a read of the chain."""
    Snapshot.objects.create(block=on.block, tempo=on.tempo, neurons=0)
    store_neurons(on.neurons)
    actions.set_weights_if_due(lambda: nullcontext(on), CONFIG)


def batch(state: str = "done", cycle_start: int | None = PAID.start, **right: int) -> None:
    """A batch in which each miner answered so many puzzles rightly; 0: one wrongly."""
    held = Batch.objects.create(
        cycle_start=cycle_start, block=1, seed="s", state=state, alive_at=timezone.now()
    )
    for hotkey, count in right.items():
        for _ in range(count):
            attempt(held, hotkey)
        if not count:
            attempt(held, hotkey, "wrong_answer")


def row() -> WeightsSet:
    return WeightsSet.objects.get(cycle_start=CYCLE.start)
