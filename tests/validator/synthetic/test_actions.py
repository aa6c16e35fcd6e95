"""Batches on a real database, with scripted miners."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bittensor_core import Keypair
from django.utils import timezone
from websockets.asyncio.server import ServerConnection

from compute_horde.cycles import cycle_at
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import Manifest as Manifest_
from compute_horde.protocol.job import (
    JobDeclined,
    JobOffered,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import RejectionReason
from tests.peers.keys import MINER
from tests.peers.miner import MinerPeer, extended, obliging, result, solving
from tests.peers.websocket_server import serving
from tests.validator.conftest import configured, remember
from validator.jobs.models import Job
from validator.network.models import Manifest, Neuron, Snapshot
from validator.receipts.models import IssuedReceipt
from validator.synthetic import actions, rules
from validator.synthetic.models import Batch, Puzzle

pytestmark = pytest.mark.django_db(transaction=True)

NETUID = 8
CYCLE = cycle_at(1000, netuid=NETUID, tempo=9)
EVE = Keypair.create_from_uri("//Eve")


def configuration(**fields: Any):
    given = {
        "netuid": NETUID,
        "hash_candidates": 50,
        "manifest_timeout_seconds": 1.0,
        "reservation_seconds": 1,
        "queue_seconds": 0.0,
    }
    return configured(**(given | fields))


def begun() -> Batch:
    return Batch.objects.create(cycle_start=1, block=1, seed="s", alive_at=timezone.now())


async def run(*miners: MinerPeer, **fields: Any) -> list[tuple[str, int, str]]:
    """Run a batch; return hotkey, points and verdict of each puzzle."""
    async with serving(*miners):
        await in_database(remember, *miners)
        batch = await in_database(begun)
        attempts = await actions._run_puzzles(batch, configuration(**fields))
        for miner in miners:
            for number, _ in enumerate(
                [a for a in attempts if a.accepted_at and a.task.hotkey == miner.hotkey], 1
            ):
                await miner.receives(FinishedReceiptIssued, number)
    rows = Puzzle.objects.order_by("hotkey", "id").values_list("hotkey", "points", "verdict")
    return await in_database(lambda: list(rows))


async def test_right_answers_earn_points_and_wrong_ones_do_not() -> None:
    right, wrong = MinerPeer(solving), MinerPeer(obliging, {"always_on.test": 1}, EVE)
    earned = await run(right, wrong)
    assert sorted(earned) == sorted(
        [
            (right.hotkey, 1, "right"),
            (right.hotkey, 1, "right"),
            (wrong.hotkey, 0, "wrong answer"),
        ]
    )
    scores = {one.payload.score_str for one in right.all(FinishedReceiptIssued)}
    assert scores == {"1.000000"}
    assert wrong.all(FinishedReceiptIssued)[0].payload.score_str == "0.000000"


async def test_everything_about_a_puzzle_is_stored_like_any_job() -> None:
    await run(MinerPeer(solving, {"always_on.test": 1}))
    job = await in_database(Job.objects.get)
    assert (job.kind, job.state, job.miner) == ("synthetic", "completed", MINER.ss58_address)
    states = await in_database(lambda: list(job.events.values_list("state", flat=True)))
    assert states == [
        "accepted",
        "executor_ready",
        "volumes_ready",
        "execution_done",
        "completed",
    ]
    receipts = IssuedReceipt.objects.order_by("id").values_list("receipt_type", "score")
    stored = await in_database(lambda: [(kind, score and int(score)) for kind, score in receipts])
    assert stored == [
        ("JobStartedReceipt", None),
        ("JobAcceptedReceipt", None),
        ("JobFinishedReceipt", 1),
    ]


async def test_offers_say_that_they_are_not_organic() -> None:
    miner = MinerPeer(solving)
    await run(miner)
    assert {o.job_started_receipt_payload.is_organic for o in miner.all(JobOffered)} == {False}


async def test_one_bad_miner_does_not_spoil_the_batch() -> None:
    def silent(miner: MinerPeer, message: Message) -> list[Message]:
        return []

    def confused(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered):
            return [result(message.job_uuid)]
        return []

    gone = MinerPeer(solving, {"always_on.test": 1}, Keypair.create_from_uri("//Gone"))
    gone.port = 1
    good = MinerPeer(solving, {"always_on.test": 1})
    peers = [
        good,
        MinerPeer(silent, {"always_on.test": 1}, EVE),
        MinerPeer(confused, {"always_on.test": 1}, Keypair.create_from_uri("//Ferdie")),
    ]
    shy = MinerPeer(solving, {"always_on.test": 1}, Keypair.create_from_uri("//Shy"))
    shy.accepts_logins = False
    async with serving(*peers, shy):
        await in_database(remember, *peers, shy, gone)
        batch = await in_database(begun)
        attempts = await actions._run_puzzles(batch, configuration())
    verdicts = {attempt.task.hotkey: attempt.verdict for attempt in attempts}
    assert verdicts[good.hotkey] == "right"
    assert verdicts[EVE.ss58_address].startswith("initial_response_timed_out")
    assert "broke the order" in verdicts[peers[2].hotkey]
    assert set(verdicts) == {peer.hotkey for peer in peers}


async def test_a_miner_that_leaves_or_says_what_cannot_be_stored_spoils_nothing() -> None:
    class Leaver(MinerPeer):
        async def serve(self, socket: ServerConnection) -> None:
            await socket.recv()
            await socket.send(Manifest_(manifest=self.manifest).encode())

    def unprintable(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered):
            return [JobDeclined(job_uuid=message.job_uuid, message="\0")]
        return []

    good = MinerPeer(solving, {"always_on.test": 1})
    peers = [
        good,
        Leaver(solving, {"always_on.test": 1}, EVE),
        MinerPeer(unprintable, {"always_on.test": 1}, Keypair.create_from_uri("//Ferdie")),
    ]
    async with serving(*peers):
        await in_database(remember, *peers)
        batch = await in_database(begun)
        await in_database(actions.run_batch, batch, configuration())
    await in_database(batch.refresh_from_db)
    assert (batch.state, batch.problem) == (Batch.State.DONE, "")
    verdicts = await in_database(lambda: dict(Puzzle.objects.values_list("hotkey", "verdict")))
    assert verdicts.pop(good.hotkey) == "right"
    assert "miner_connection_failed" in verdicts.pop(EVE.ss58_address)
    assert [verdict[-1] for verdict in verdicts.values()] == ["\N{REPLACEMENT CHARACTER}"]


async def test_a_busy_miner_is_asked_again_for_a_while() -> None:
    left = [1]

    def busy_once(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered) and left[0]:
            left[0] -= 1
            busy = RejectionReason.BUSY
            return [JobDeclined(job_uuid=message.job_uuid, reason=busy)]
        return solving(miner, message)

    earned = await run(extended(MinerPeer(busy_once, {"always_on.test": 1})), queue_seconds=5.0)
    assert [points for _, points, _ in earned] == [1]


async def test_a_miner_that_stays_busy_earns_nothing() -> None:
    def busy(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered):
            reason = RejectionReason.BUSY
            return [JobDeclined(job_uuid=message.job_uuid, reason=reason)]
        return []

    earned = await run(MinerPeer(busy, {"always_on.test": 1}))
    assert [(points, verdict) for _, points, verdict in earned] == [(0, "busy: ")]
    assert await in_database(lambda: Job.objects.get().state) == "rejected"


def test_a_cycle_has_one_batch() -> None:
    assert actions.claim(CYCLE, 1001)
    assert actions.claim(CYCLE, 1002) is None


@pytest.mark.parametrize(
    ("block", "batches"), [(CYCLE.start, 0), (CYCLE.start + 2, 1), (CYCLE.start + 16, 0)]
)
def test_a_batch_is_held_when_it_is_due_and_once(block: int, batches: int) -> None:
    remember(MinerPeer())
    Manifest.objects.create(
        hotkey=MINER.ss58_address,
        executor_class="always_on.test",
        count=1,
        heard_at=timezone.now(),
    )
    config = configuration(manifest_timeout_seconds=0.05)
    Neuron.objects.update(port=1)
    for _ in range(2):
        Snapshot.objects.create(block=block, tempo=9, neurons=1)
        actions.run_due(config)
    assert list(Batch.objects.values_list("state", flat=True)) == ["done"] * batches


def test_before_anybody_declared_an_executor_the_batch_waits() -> None:
    Snapshot.objects.create(block=CYCLE.start + 2, tempo=9, neurons=1)
    actions.run_due(configuration())
    assert not Batch.objects.exists()


def test_an_operators_batch_belongs_to_no_cycle() -> None:
    actions.run_extra(configuration())
    Snapshot.objects.create(block=8, tempo=9, neurons=1)
    actions.run_extra(configuration())
    rows = list(Batch.objects.order_by("id").values_list("cycle_start", "block", "state"))
    assert rows == [(None, 0, "done"), (None, 8, "done")]


def test_a_dead_workers_batch_is_buried_with_its_jobs_and_the_next_one_works() -> None:
    batch = actions.claim(CYCLE, 1001)
    cost = rules.Cost("image", 10, 10)
    task = rules.Task(MINER.ss58_address, ExecutorClass.always_on__test, "hash", "s")
    attempt = actions.Attempt(task, rules.request(task, cost, actions.new_uuid()))
    actions._store_puzzles(batch, [attempt])
    actions.fail_abandoned()
    assert Batch.objects.get().state == "running"
    long_ago = timezone.now() - timedelta(minutes=2)
    Batch.objects.update(alive_at=long_ago)
    actions.fail_abandoned()
    assert Batch.objects.get().state == "failed"
    job = Job.objects.get()
    assert job.state == "horde_failed"
    assert "worker that ran this batch died" in job.events.get().body
    assert Puzzle.objects.get().points == 0
    assert actions.claim(cycle_at(CYCLE.stop, netuid=NETUID, tempo=9), 1021)


def test_a_batch_that_breaks_is_marked_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(actions, "_run_puzzles", broken)
    actions.run_extra(configuration())
    assert Batch.objects.get().state == "failed"
    assert "broken" in Batch.objects.get().problem


def test_a_worker_that_is_told_to_stop_ends_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(*_: object) -> None:
        actions.interrupt()
        await asyncio.sleep(60)

    monkeypatch.setattr(actions, "_run_puzzles", endless)
    actions.run_extra(configuration())
    assert Batch.objects.get().state == "failed"
    assert "stopped" in Batch.objects.get().problem
