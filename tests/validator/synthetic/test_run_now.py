"""The preview of a batch that an operator asks for, and what the worker does."""

from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.django.confirmed_action import NotDoneError
from compute_horde.hardware import ExecutorClass
from tests.validator.conftest import configured
from validator.network.models import Manifest, Neuron, Snapshot
from validator.operators.models import OperatorAction
from validator.synthetic import actions, run_now
from validator.synthetic.models import Batch, MeasuredMiner

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test


def confirmed() -> OperatorAction:
    """The action of an operator who saw the present preview."""
    digest = run_now.preview(configured()).digest
    return OperatorAction.objects.create(token=uuid4(), name="run batch", preview={}, digest=digest)


def offering(hotkey: str, count: int, port: int = 8000) -> None:
    Neuron.objects.create(
        hotkey=hotkey, coldkey="c", uid=port, ip="127.0.0.1", port=port, seen_at=timezone.now()
    )
    if count:
        Manifest.objects.create(
            hotkey=hotkey, executor_class=TEST, count=count, heard_at=timezone.now()
        )


def test_the_preview_lists_what_would_be_tested_and_stores_nothing() -> None:
    offering("alice", 3)
    offering("silent", 0, port=8001)
    shown = run_now.preview(configured())
    executors, silent = shown.tables
    assert executors.rows == [("alice", TEST.value, "3", "3")]
    assert [row[0] for row in silent.rows] == ["silent"]
    assert shown.obstacles == []
    assert shown.decided == [["alice", TEST.value, 3]]
    assert (Batch.objects.count(), MeasuredMiner.objects.count()) == (0, 0)


def test_without_executors_or_beside_another_batch_it_is_not_offered() -> None:
    (obstacle,) = run_now.preview(configured()).obstacles
    assert "declared" in obstacle
    offering("alice", 1)
    running = Batch.objects.create(block=1, seed="s", alive_at=timezone.now())
    (obstacle,) = run_now.preview(configured()).obstacles
    assert f"Batch {running.pk} is running" in obstacle


def test_the_worker_reports_how_the_batch_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def ran(batch: Batch, config: object) -> None:
        Batch.objects.filter(pk=batch.pk).update(state="failed", problem="no miner answered")

    monkeypatch.setattr(actions, "run_batch", ran)
    offering("alice", 1)
    record = confirmed()
    text = run_now.run(record, configured())
    assert text == "The batch is failed: no miner answered. Attempts: none"
    batch = Batch.objects.get()
    assert record.result_row == f"synthetic.batch:{batch.pk}"
    assert batch.cycle_start is None


def test_a_batch_that_would_be_in_the_way_of_the_planned_one_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "run_batch", None)
    offering("alice", 1)
    Snapshot.objects.create(block=100, tempo=360, neurons=1)
    Batch.objects.create(
        block=0, seed="s", alive_at=timezone.now(), state="planned", slot_block=126
    )
    record = confirmed()
    assert run_now.preview(configured()).obstacles == []
    Snapshot.objects.create(block=101, tempo=360, neurons=1)
    (obstacle,) = run_now.preview(configured()).obstacles
    assert "begins in block 126" in obstacle
    with pytest.raises(NotDoneError, match="begins in block 126"):
        run_now.run(record, configured())
    assert Batch.objects.count() == 1


def test_other_executors_than_those_confirmed_are_not_tested() -> None:
    offering("alice", 1)
    record = confirmed()
    offering("bob", 1, port=8001)
    with pytest.raises(NotDoneError, match="has changed"):
        run_now.run(record, configured())
    assert Batch.objects.count() == 0
