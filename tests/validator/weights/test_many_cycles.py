"""Over many cycles no window is missed and none gets two transactions, whatever fails."""

import random
from collections import Counter
from decimal import Decimal

import pytest
from django.utils import timezone

from compute_horde.cycles import Cycle, cycle_at
from compute_horde.hardware import ExecutorClass
from tests.peers.keys import VALIDATOR
from tests.validator.chains import neuron
from tests.validator.conftest import configured
from tests.validator.weights.simulation import Killed, UnreliableChain
from validator.network.models import Snapshot
from validator.scores.models import Score, ScoredCycle
from validator.weights import actions, journal, rules
from validator.weights.models import Submission, WeightsSet

pytestmark = pytest.mark.django_db

NETUID, TEMPO = 12, 360
CYCLES = 15
FIRST = cycle_at(10_000, netuid=NETUID, tempo=TEMPO)
CONFIG = configured(netuid=NETUID, class_weights={ExecutorClass.always_on__test: Decimal(1)})


def earn(rng: random.Random, paid: Cycle) -> None:
    """A batch of this cycle, scored: what a cycle's weights are computed from."""
    cycle = ScoredCycle.objects.create(cycle_start=paid.start, cycle_stop=paid.stop)
    Score.objects.bulk_create(
        Score(cycle=cycle, hotkey=hotkey, uid=uid, share="0.5", u16=rng.randint(1, 65535))
        for uid, hotkey in ((1, "first"), (2, "second"))
    )


def tick(chain: UnreliableChain) -> None:
    """One run of the periodic task, which may be killed in it."""
    Snapshot.objects.update_or_create(
        pk=1,
        defaults={
            "block": chain.block,
            "tempo": TEMPO,
            "neurons": 3,
            "taken_at": timezone.now(),
        },
    )
    try:
        actions.set_weights_if_due(chain.opened, CONFIG)
    except Killed:
        return


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Processes are also killed right before and right after they store a submission's state."""
    rng = random.Random(7)
    for name in ("begin", "accept", "refuse", "expire"):
        real = getattr(journal, name)

        def killing(*args, real=real, **kwargs):
            if rng.random() < 0.02:
                raise Killed
            result = real(*args, **kwargs)
            if rng.random() < 0.02:
                raise Killed
            return result

        monkeypatch.setattr(journal, name, killing)
    return rng


def test_no_window_is_missed_and_none_gets_two_transactions(deadly: random.Random) -> None:
    us = neuron(0, VALIDATOR.ss58_address, validator_permit=True)
    chain = UnreliableChain(deadly, [us, neuron(1, "first"), neuron(2, "second")])
    length = FIRST.stop - FIRST.start
    for number in range(CYCLES):
        start = FIRST.start + number * length
        cycle = Cycle(start, start + length, FIRST.number + number)
        earn(deadly, Cycle(start - length, start, cycle.number - 1))
        window = rules.window(cycle)
        chain.advance(window.start)
        while chain.block < window.stop:
            tick(chain)
            row = WeightsSet.objects.filter(cycle_start=start).first()
            if row and row.state == "published" and row.landing != "open":
                break
            chain.advance(chain.block + 1)
        chain.advance(cycle.stop - 1)
    rows = WeightsSet.objects.order_by("cycle_start")
    assert Counter(rows.values_list("state", "landing")) == {("published", "landed"): CYCLES}
    per_window = Counter((block - FIRST.start) // length for block in chain.included)
    assert per_window == dict.fromkeys(range(CYCLES), 1)
    assert Submission.objects.exclude(state="accepted").exists()
