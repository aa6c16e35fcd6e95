"""Cycles with batches, scores and weights in the database."""

import json
from collections.abc import Mapping
from decimal import Decimal

from django.utils import timezone

from tests.validator.scores.cycles import CYCLE
from validator.scores.models import Score, ScoredCycle
from validator.synthetic.models import Batch
from validator.weights.models import Submission, WeightsSet

LENGTH = CYCLE.stop - CYCLE.start
TEST, GPU = "always_on.test", "always_on.gpu-24gb"


def batch(start: int | None = CYCLE.start, **fields: object) -> Batch:
    given = {"block": start, "state": "done", "seed": "s", "alive_at": timezone.now()}
    return Batch.objects.create(cycle_start=start, **(given | fields))


def scored(start: int, shares: Mapping[str, Mapping[str, str]]) -> ScoredCycle:
    """A scored cycle with these shares of each miner by class."""
    cycle = ScoredCycle.objects.create(
        cycle_start=start, cycle_stop=start + LENGTH, formula="jobs", version="jobs-1"
    )
    for uid, (hotkey, by_class) in enumerate(shares.items()):
        items = [{"executor_class": name, "amount": amount} for name, amount in by_class.items()]
        share = sum((Decimal(amount) for amount in by_class.values()), Decimal(0))
        Score.objects.create(
            cycle=cycle,
            hotkey=hotkey,
            uid=uid,
            share=share,
            u16=int(share * 65535),
            document=json.dumps({"items": items}),
        )
    return cycle


def weights(earned_in: int, **fields: object) -> WeightsSet:
    """The weights that pay a cycle, with one transaction."""
    row = WeightsSet.objects.create(
        cycle_start=earned_in + LENGTH, earned_in=earned_in, is_computed=True, **fields
    )
    Submission.objects.create(
        weights_set=row,
        state="accepted",
        values={},
        hotkeys={},
        sent_in_block=earned_in + LENGTH + 400,
        expires_in_block=earned_in + LENGTH + 430,
        block=earned_in + LENGTH + 402,
        reveal_round=777,
    )
    return row
