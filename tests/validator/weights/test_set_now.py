"""The preview of weights that an operator wants set now, and what the worker does."""

from contextlib import nullcontext
from dataclasses import asdict
from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.adapters.chain_port import ChainRefused
from compute_horde.django.confirmed_action import NotDoneError
from tests.peers.keys import VALIDATOR
from tests.validator.chains import FakeChain
from tests.validator.scores.cycles import store_neurons
from tests.validator.weights.publishing import CONFIG, CYCLE, OPEN, batch, chain, publish, row
from validator.network.models import Fact, Snapshot
from validator.operators.models import OperatorAction
from validator.weights import set_now
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db


def seen(on: FakeChain, *, permit: bool = True) -> None:
    """The chain was read, with our neuron and the hyperparameters in the change log."""
    Snapshot.objects.create(block=on.block, tempo=on.tempo, neurons=0)
    store_neurons(on.neurons)
    ours = {"uid": 0, "coldkey": "c", "permit": permit}
    for kind, subject, value in (
        (Fact.Kind.NEURON, VALIDATOR.ss58_address, ours),
        (Fact.Kind.HYPERPARAMETERS, "", asdict(on.hyperparameters())),
    ):
        Fact.objects.update_or_create(
            kind=kind,
            subject=subject,
            defaults={"value": value, "from_block": on.block, "began_at": timezone.now()},
        )


def confirmed() -> OperatorAction:
    shown = set_now.preview(CONFIG)
    return OperatorAction.objects.create(
        token=uuid4(), name="set weights", preview={}, digest=shown.digest
    )


def try_now(record: OperatorAction, on: FakeChain) -> str:
    return set_now.try_now(record, lambda: nullcontext(on), CONFIG)


def test_the_preview_has_the_weights_beside_those_on_the_chain() -> None:
    batch(good=1, better=3, wrong=0)
    seen(chain())
    shown = set_now.preview(CONFIG)
    assert shown.obstacles == []
    assert [(name, now, held) for _, name, now, held in shown.tables[0].rows] == [
        ("good", "21845", "0"),
        ("better", "65535", "0"),
    ]
    assert WeightsSet.objects.count() == 0


def test_a_try_that_was_put_off_is_made_at_once() -> None:
    batch(good=1)
    on = chain(problems=[ChainRefused("too fast", "rate_limited")])
    publish(on)
    WeightsSet.objects.update(next_try_block=CYCLE.stop)
    seen(on)
    record = confirmed()
    assert "The chain took them after 2 attempts" in try_now(record, on)
    assert record.result_row == f"weights.weightsset:{row().pk}"
    assert len(on.set) == 1


def test_a_try_that_fails_is_told_with_its_reason() -> None:
    batch(good=1)
    on = chain(problems=[ChainRefused("NotEnoughStake", "stake")])
    seen(on)
    with pytest.raises(NotDoneError, match="NotEnoughStake"):
        try_now(confirmed(), on)


def test_weights_that_are_set_are_not_set_again() -> None:
    batch(good=1)
    on = chain()
    seen(on)
    record = confirmed()
    publish(on)
    with pytest.raises(NotDoneError, match="accepted in block"):
        try_now(record, on)
    assert len(on.set) == 1


def test_what_landed_last_is_shown_beside_what_would_be_set() -> None:
    batch(good=1)
    on = chain()
    publish(on)
    on.block += 1
    publish(on)
    assert row().landing == "landed"
    assert set_now.on_chain() == ({1: 65535}, f"read back in block {on.block}")


def test_scores_that_were_recomputed_are_set_where_nobody_had_earned_anything() -> None:
    batch(good=1)
    on = chain()
    WeightsSet.objects.create(cycle_start=CYCLE.start, earned_in=0, state="empty")
    WeightsSet.objects.update(earned_in=CYCLE.start - 20)
    seen(on)
    assert "The chain took them" in try_now(confirmed(), on)


@pytest.mark.parametrize(
    ("block", "permit", "expected"),
    [
        (CYCLE.start, True, "Weights are set between blocks"),
        (OPEN, False, "no validator permit"),
    ],
)
def test_an_obstacle_is_named_with_what_to_do(block: int, permit: bool, expected: str) -> None:
    batch(good=1)
    seen(chain(block), permit=permit)
    (obstacle,) = set_now.preview(CONFIG).obstacles
    assert expected in obstacle


def test_the_rate_limit_and_the_version_are_checked() -> None:
    batch(good=1)
    on = chain(hyper={"weights_version": 99})
    seen(on)
    (obstacle,) = set_now.preview(CONFIG).obstacles
    assert "requires weights of version 99" in obstacle


def test_without_points_there_is_nothing_to_set() -> None:
    batch(wrong=0)
    seen(chain())
    (obstacle,) = set_now.preview(CONFIG).obstacles
    assert "earned anything" in obstacle


def test_while_the_batch_runs_or_the_chain_is_unread_nothing_is_set() -> None:
    assert set_now.preview(CONFIG).obstacles == [set_now.NOT_READ]
    batch("running", good=1)
    Snapshot.objects.create(block=OPEN, tempo=9, neurons=0)
    nobody, running, unread = set_now.preview(CONFIG).obstacles
    assert "earned anything" in nobody
    assert "still running" in running
    assert "hyperparameters were not read" in unread
