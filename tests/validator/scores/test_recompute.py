"""Scores are replaced as confirmed, and never once weights of them were sent."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from compute_horde.django.confirmed_action import NotDoneError
from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from tests.validator.conftest import configured
from tests.validator.scores.cycles import CYCLE, NETUID, attempt
from validator.network.models import Neuron
from validator.operators.models import OperatorAction
from validator.scores import recompute
from validator.scores.actions import exported
from validator.scores.models import Score, ScoredCycle
from validator.scores.recording import replay
from validator.scoring.parameters import LimitParameters
from validator.synthetic.models import Batch
from validator.weights import actions
from validator.weights.models import Submission, WeightsSet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_scored")]

CONFIG = configured(netuid=NETUID, class_weights={ExecutorClass.always_on__test: Decimal(1)})
SUBJECT = str(CYCLE.start)


def bob_came_too() -> None:
    """What was not known when the cycle was scored."""
    Neuron.objects.create(hotkey="bob", coldkey="cold-bob", uid=1, seen_at=timezone.now())
    attempt(Batch.objects.get(), "bob")


def confirmed() -> OperatorAction:
    shown = recompute.preview(SUBJECT, CONFIG)
    return OperatorAction.objects.create(
        token=uuid4(), name="recompute", subject=SUBJECT, preview={}, digest=shown.digest
    )


def test_without_a_difference_there_is_nothing_to_confirm() -> None:
    shown = recompute.preview(SUBJECT, CONFIG)
    assert shown.tables[0].rows == []
    assert shown.obstacles == ["Nothing would change: facts and scores are those that are stored"]


def test_the_preview_has_the_difference_and_changes_nothing() -> None:
    bob_came_too()
    shown = recompute.preview(SUBJECT, CONFIG)
    assert shown.tables[0].rows == [
        ("alice", "1", "65535", "0.5", "65535"),
        ("bob", "-", "-", "0.5", "65535"),
    ]
    assert shown.obstacles == []
    assert dict(shown.facts)["facts"] == "others than when the cycle was scored"
    assert Score.objects.count() == 1


def test_what_was_confirmed_replaces_the_scores_and_replays() -> None:
    bob_came_too()
    computed = WeightsSet.objects.create(
        cycle_start=CYCLE.stop, earned_in=CYCLE.start, weights={"alice": "1"}, is_computed=True
    )
    record = confirmed()
    assert "2 of 2 scores changed" in recompute.recompute(record, CONFIG)
    assert dict(Score.objects.values_list("hotkey", "u16")) == {"alice": 65535, "bob": 65535}
    scored = ScoredCycle.objects.get()
    assert record.result_row == f"scores.scoredcycle:{scored.pk}"
    assert replay(exported(scored).encode())[1]
    computed.refresh_from_db()
    assert (computed.is_computed, computed.weights) == (False, {})


def test_nothing_else_than_what_was_confirmed_is_done() -> None:
    bob_came_too()
    record = confirmed()
    attempt(Batch.objects.get(), "bob")
    with pytest.raises(NotDoneError, match="has changed"):
        recompute.recompute(record, CONFIG)
    assert Score.objects.count() == 1


def test_they_are_replaced_and_sent_under_the_lock_of_their_cycle() -> None:
    """The row of the weights may be made at the same time, and cannot be locked by both."""
    bob_came_too()
    record = confirmed()
    with CaptureQueriesContext(connection) as replacing:
        recompute.recompute(record, CONFIG)
    paying = WeightsSet.objects.create(cycle_start=CYCLE.stop, earned_in=CYCLE.start)
    chain = FakeChain(block=CYCLE.stop, neurons=[neuron(0, "alice"), neuron(1, "bob")])
    with CaptureQueriesContext(connection) as sending:
        actions._submit(chain, CONFIG, paying, CYCLE, chain.metagraph(), LimitParameters())
    for queries, begins in ((replacing, "DELETE FROM"), (sending, "SELECT")):
        texts = [one["sql"] for one in queries]
        locked = next(at for at, text in enumerate(texts) if text.endswith("FOR UPDATE"))
        used = [at for at, text in enumerate(texts) if '"scores_score"' in text and begins in text]
        assert '"scores_scoredcycle"' in texts[locked]
        assert locked < min(at for at in used if texts[at].startswith(begins))


@pytest.mark.parametrize("state", ["sending", "accepted"])
def test_scores_of_weights_that_were_sent_stay(state: str) -> None:
    bob_came_too()
    row = WeightsSet.objects.create(cycle_start=CYCLE.stop, earned_in=CYCLE.start)
    record = confirmed()
    Submission.objects.create(
        weights_set=row, state=state, values={}, hotkeys={}, sent_in_block=1, expires_in_block=9
    )
    (obstacle,) = recompute.preview(SUBJECT, CONFIG).obstacles
    assert "were sent to the chain" in obstacle
    with pytest.raises(NotDoneError, match="were sent to the chain"):
        recompute.recompute(record, CONFIG)
    scored = ScoredCycle.objects.get()
    with pytest.raises(NotDoneError, match="meanwhile"):
        recompute.replace(scored, recompute.recomputed(scored, CONFIG), CONFIG)
    assert Score.objects.count() == 1


def test_an_unknown_cycle_is_named_so() -> None:
    assert recompute.preview("7", CONFIG).obstacles == [recompute.NOT_SCORED]


def test_facts_that_cannot_be_read_are_named() -> None:
    ScoredCycle.objects.update(parameters="{")
    (obstacle,) = recompute.preview(SUBJECT, CONFIG).obstacles
    assert "cannot be scored again" in obstacle
