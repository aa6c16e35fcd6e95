"""Batches on a real database, with scripted miners."""

from contextlib import nullcontext
from datetime import datetime
from typing import Any

import pytest
from bittensor_core import Keypair
from django.utils import timezone
from websockets.asyncio.server import ServerConnection

from compute_horde.cycles import cycle_at
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import Manifest as Manifest_
from compute_horde.protocol.job import JobDeclined, JobOffered
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import RejectionReason
from tests.peers.keys import MINER, VALIDATOR
from tests.peers.miner import MinerPeer, declining, extended, obliging, result, solving
from tests.peers.websocket_server import serving
from tests.validator.chains import neuron
from tests.validator.conftest import configured, remember
from tests.validator.synthetic.test_schedule import PERMITTED, SlotChain
from validator.jobs.models import Job
from validator.network.models import Manifest, Neuron, Snapshot
from validator.receipts.models import IssuedReceipt
from validator.synthetic import actions, schedule
from validator.synthetic.excuses import Excuse, ExcuseJudge
from validator.synthetic.models import Batch, MeasuredMiner, Puzzle

pytestmark = pytest.mark.django_db(transaction=True)

NETUID = 8
CYCLE = cycle_at(1000, netuid=NETUID, tempo=9)
EVE = Keypair.create_from_uri("//Eve")
FERDIE = Keypair.create_from_uri("//Ferdie")


def configuration(**fields: Any):
    given = {
        "netuid": NETUID,
        "hash_candidates": 20,
        "manifest_timeout_seconds": 1.0,
        "reservation_seconds": 1,
        "queue_seconds": 0.0,
        "new_miner_time_factor": 1,
    }
    return configured(**(given | fields))


def declare(*miners: MinerPeer) -> None:
    """Store these miners with their manifests."""
    remember(*miners)
    for miner in miners:
        for executor_class, count in miner.manifest.items():
            Manifest.objects.create(
                hotkey=miner.hotkey,
                executor_class=executor_class,
                count=count,
                heard_at=timezone.now(),
            )


def begun() -> Batch:
    return Batch.objects.create(cycle_start=1, block=1, seed="s", alive_at=timezone.now())


Result = tuple[str, int, str]


async def run(*miners: MinerPeer, judge: ExcuseJudge | None = None, **fields: Any) -> list[Result]:
    """Run a batch; return hotkey, points and outcome of each attempt."""
    async with serving(*miners):
        await in_database(declare, *miners)
        batch = await in_database(begun)
        attempts = await actions._run_attempts(batch, configuration(**fields), judge or Judge(""))
        for miner in miners:
            finished = [a for a in attempts if a.accepted_at and a.executor.hotkey == miner.hotkey]
            if finished:
                await miner.receives(FinishedReceiptIssued, len(finished))
    rows = Puzzle.objects.order_by("hotkey", "id").values_list("hotkey", "points", "outcome")
    return await in_database(lambda: list(rows))


async def test_right_answers_earn_points_and_wrong_ones_do_not() -> None:
    right, wrong = MinerPeer(solving), MinerPeer(obliging, {"always_on.test": 1}, EVE)
    earned = await run(right, wrong)
    assert sorted(earned) == sorted(
        [
            (right.hotkey, 1, "correct"),
            (right.hotkey, 1, "correct"),
            (wrong.hotkey, 0, "wrong_answer"),
        ]
    )
    scores = {one.payload.score_str for one in right.all(FinishedReceiptIssued)}
    assert scores == {"1.000000"}
    assert wrong.all(FinishedReceiptIssued)[0].payload.score_str == "0.000000"


async def test_everything_about_an_attempt_is_stored_like_any_job() -> None:
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
    row = await in_database(Puzzle.objects.get)
    moments = [row.offered_at, row.accepted_at, row.ready_at, row.started_at, row.finished_at]
    assert moments == sorted(moments)
    batch = await in_database(Batch.objects.get)
    assert batch.offers_took_ms == 0
    assert batch.loop_delay_ms == row.loop_delay_ms


async def test_a_miner_that_answered_is_new_no_longer() -> None:
    silent = MinerPeer(lambda *_: [], {"always_on.test": 1}, EVE)
    await run(MinerPeer(solving, {"always_on.test": 1}), silent)
    answered = await in_database(
        lambda: dict(MeasuredMiner.objects.values_list("hotkey", "answered_at"))
    )
    assert answered[MINER.ss58_address] is not None
    assert answered[silent.hotkey] is None


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
        MinerPeer(confused, {"always_on.test": 1}, FERDIE),
    ]
    shy = MinerPeer(solving, {"always_on.test": 1}, Keypair.create_from_uri("//Shy"))
    shy.accepts_logins = False
    async with serving(*peers, shy):
        await in_database(declare, *peers, shy, gone)
        batch = await in_database(begun)
        attempts = await actions._run_attempts(batch, configuration(), Judge(""))
    outcomes = {one.executor.hotkey: str(one.outcome) for one in attempts}
    assert outcomes == {
        good.hotkey: "correct",
        EVE.ss58_address: "not_accepted",
        FERDIE.ss58_address: "broke_protocol",
        shy.hotkey: "unreachable",
        gone.hotkey: "unreachable",
    }


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
        MinerPeer(unprintable, {"always_on.test": 1}, FERDIE),
    ]
    async with serving(*peers):
        await in_database(declare, *peers)
        batch = await in_database(begun)
        await in_database(actions.run_batch, batch, configuration())
    await in_database(batch.refresh_from_db)
    assert (batch.state, batch.problem) == (Batch.State.DONE, "")
    rows = await in_database(
        lambda: {row.hotkey: (row.outcome, row.verdict) for row in Puzzle.objects.all()}
    )
    assert rows.pop(good.hotkey) == ("correct", "right")
    assert rows.pop(EVE.ss58_address)[0] == "unreachable"
    assert [text[-1] for _, text in rows.values()] == ["\N{REPLACEMENT CHARACTER}"]


async def test_a_busy_miner_is_asked_again_for_a_while() -> None:
    miner = MinerPeer(declining(RejectionReason.BUSY, times=1), {"always_on.test": 1})
    miner.script = _solving_after(miner.script)
    earned = await run(extended(miner), queue_seconds=30.0)
    assert [points for _, points, _ in earned] == [1]


def _solving_after(script):
    """A miner that declines as `script` does, and solves what it does not decline."""

    def both(miner: MinerPeer, message: Message) -> list[Message]:
        replies = script(miner, message)
        declines = any(isinstance(one, JobDeclined) for one in replies)
        return replies if declines else solving(miner, message)

    return both


class Judge:
    """Excuses one miner, and remembers when it was asked."""

    def __init__(self, excused: str) -> None:
        self.excused = excused
        self.asked: list[datetime] = []
        self.declared: list[int] = []

    def judge(
        self,
        hotkey: str,
        executor_class: ExecutorClass,
        at: datetime,
        *,
        accepted: int,
        declared: int,
    ) -> Excuse:
        self.asked.append(at)
        self.declared.append(declared)
        return Excuse(hotkey == self.excused, f"receipts for {executor_class}")


async def test_the_executors_declared_at_the_start_decide_about_an_excuse() -> None:
    """All of them, also those above the cap of the class, whatever the miner declares later."""

    def shrinks(miner: MinerPeer, message: Message) -> list[Message]:
        replies = declining(RejectionReason.BUSY)(miner, message)
        miner.manifest = {"always_on.test": 1}
        return replies

    judge = Judge("")
    earned = await run(
        MinerPeer(shrinks, {"always_on.test": 3}), judge=judge, most_executors_per_class=2
    )
    assert len(earned) == 2
    assert set(judge.declared) == {3}


async def test_a_miner_that_stays_busy_earns_nothing_unless_it_is_excused() -> None:
    busy = [
        MinerPeer(declining(RejectionReason.BUSY), {"always_on.test": 1}, one)
        for one in (EVE, FERDIE)
    ]
    judge = Judge(FERDIE.ss58_address)
    earned = await run(*busy, judge=judge)
    assert sorted(earned) == sorted(
        [(EVE.ss58_address, 0, "declined_busy"), (FERDIE.ss58_address, 1, "declined_busy")]
    )
    offered = {one.all(JobOffered)[0].job_started_receipt_payload.timestamp for one in busy}
    assert set(judge.asked) == offered
    row = await in_database(Puzzle.objects.get, excused=True)
    assert (row.hotkey, row.verdict) == (
        FERDIE.ss58_address,
        "busy: no (receipts for always_on.test)",
    )
    states = await in_database(lambda: set(Job.objects.values_list("state", flat=True)))
    assert states == {"rejected"}


def slot_chain(block: int) -> SlotChain:
    return SlotChain(block=block, neurons=[neuron(0, VALIDATOR.ss58_address, **PERMITTED)])


@pytest.mark.parametrize(
    ("blocks", "states"),
    [((0, 2), ["failed"]), ((2, 3), ["failed"]), ((11, 12), ["missed"])],
)
def test_a_batch_is_run_in_its_slot_and_once(blocks: tuple[int, ...], states: list[str]) -> None:
    """Its only miner is away, so that it fails."""
    declare(MinerPeer(manifest={"always_on.test": 1}))
    config = configuration(manifest_timeout_seconds=0.05)
    Neuron.objects.update(port=1)
    for block in blocks:
        Snapshot.objects.create(block=CYCLE.start + block, tempo=9, neurons=1)
        on = nullcontext(slot_chain(CYCLE.start + block))
        schedule.plan(lambda on=on: on, config)
        actions.run_due(lambda on=on: on, config)
    assert list(Batch.objects.values_list("state", flat=True)) == states
    assert Puzzle.objects.count() == states.count("failed")


def test_an_operators_batch_belongs_to_no_cycle() -> None:
    actions.run_extra(configuration())
    Snapshot.objects.create(block=8, tempo=9, neurons=1)
    actions.run_extra(configuration())
    rows = list(Batch.objects.order_by("id").values_list("cycle_start", "block", "state"))
    assert rows == [(None, 0, "done"), (None, 8, "done")]
