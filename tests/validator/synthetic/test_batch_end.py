"""How batches end: with all results, without an answer, by an error, or interrupted."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.protocol.job import JobOffered
from tests.peers.keys import MINER
from tests.peers.miner import MinerPeer, solving
from tests.peers.websocket_server import serving
from tests.validator.synthetic.making import attempt
from tests.validator.synthetic.test_actions import EVE, begun, configuration, declare
from validator.jobs.models import Job
from validator.synthetic import actions, measured, results
from validator.synthetic.attempts import Attempt
from validator.synthetic.batch_run import BatchRun
from validator.synthetic.models import Batch, Puzzle

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dead_workers_batch_is_interrupted_and_the_next_one_works() -> None:
    batch = begun()
    results.store_open(batch, [attempt(MINER.ss58_address)])
    actions.fail_abandoned()
    assert Batch.objects.get().state == "running"
    long_ago = timezone.now() - timedelta(minutes=2)
    Batch.objects.update(alive_at=long_ago)
    actions.fail_abandoned()
    assert Batch.objects.get().state == "interrupted"
    job = Job.objects.get()
    assert job.state == "horde_failed"
    assert "worker that ran this batch died" in job.events.get().body
    row = Puzzle.objects.get()
    assert (row.points, row.outcome, row.blamed) == (0, "interrupted", "nobody")
    actions.run_extra(configuration())
    assert Batch.objects.first().state == "done"


async def test_a_batch_in_which_no_miner_answers_does_not_count() -> None:
    silent = MinerPeer(lambda *_: [], {"always_on.test": 2})
    gone = MinerPeer(solving, {"always_on.test": 1}, EVE)
    gone.port = 1
    async with serving(silent):
        await in_database(declare, silent, gone)
        batch = await in_database(begun)
        await in_database(actions.run_batch, batch, configuration())
    await in_database(batch.refresh_from_db)
    assert batch.state == Batch.State.FAILED
    assert "the validator's own network or load" in batch.problem
    rows = await in_database(
        lambda: sorted(Puzzle.objects.values_list("outcome", "blamed", "points"))
    )
    silences = ["not_accepted", "not_accepted", "unreachable"]
    assert rows == [(outcome, "nobody", 0) for outcome in silences]


async def test_a_stop_while_receipts_are_sent_loses_no_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[str] = []

    async def stopped(run: BatchRun, attempts: Sequence[Attempt]) -> None:
        states.append(await in_database(lambda: Batch.objects.get().state))
        actions.interrupt()
        await asyncio.sleep(60)

    monkeypatch.setattr(BatchRun, "send_receipts", stopped)
    good = MinerPeer(solving, {"always_on.test": 1})
    async with serving(good):
        await in_database(declare, good)
        batch = await in_database(begun)
        await in_database(actions.run_batch, batch, configuration())
    await in_database(batch.refresh_from_db)
    assert states == ["done"]
    assert (batch.state, batch.problem) == ("done", "")
    row = await in_database(Puzzle.objects.get)
    assert (row.outcome, row.points) == ("correct", 1)


async def test_results_are_stored_together_with_the_end_of_their_batch_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(measured, "note_answers", broken)
    good = MinerPeer(solving, {"always_on.test": 1})
    async with serving(good):
        await in_database(declare, good)
        batch = await in_database(begun)
        await in_database(actions.run_batch, batch, configuration())
    row = await in_database(Puzzle.objects.select_related("batch").get)
    assert (row.batch.state, row.outcome, row.points) == ("failed", "interrupted", 0)


def test_a_batch_that_breaks_is_marked_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(actions, "_run_attempts", broken)
    actions.run_extra(configuration())
    assert Batch.objects.get().state == "failed"
    assert "broken" in Batch.objects.get().problem


def test_a_worker_that_is_told_to_stop_ends_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(*_: object) -> None:
        actions.interrupt()
        await asyncio.sleep(60)

    monkeypatch.setattr(actions, "_run_attempts", endless)
    actions.run_extra(configuration())
    assert Batch.objects.get().state == "interrupted"
    assert "stopped" in Batch.objects.get().problem


async def test_a_batch_that_is_stopped_midway_leaves_nobody_to_blame() -> None:
    silent = MinerPeer(lambda *_: [], {"always_on.test": 2})
    async with serving(silent):
        await in_database(declare, silent)
        batch = await in_database(begun)
        config = configuration(reservation_seconds=3600)
        running = asyncio.create_task(in_database(actions.run_batch, batch, config))
        await silent.receives(JobOffered, 2)
        actions.interrupt()
        await running
    await in_database(batch.refresh_from_db)
    assert (batch.state, batch.ended_at is None) == ("interrupted", False)
    rows = await in_database(lambda: list(Puzzle.objects.values_list("outcome", "blamed")))
    assert rows == [("interrupted", "nobody")] * 2
    states = await in_database(lambda: set(Job.objects.values_list("state", flat=True)))
    assert states == {"horde_failed"}
