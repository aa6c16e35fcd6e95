"""Interval receipts: each interval is paid once, even when connections are lost."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import IntervalReceiptIssued
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobAccepted,
    JobFailed,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.receipts import JobIntervalReceipt
from compute_horde.signing import verify_hex
from compute_horde.vocabulary import Extension, FailureReason, HordeReason, JobState, Party, Stage
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, obliging, rest
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import Scene, listening, remember
from tests.validator.rows import row_of
from validator.config import config
from validator.jobs import rules
from validator.jobs.conversation import MinerContract
from validator.jobs.interval_receipts import IntervalIssuer, WorkProgress
from validator.jobs.runner import now
from validator.jobs.steps import Step
from validator.receipts.models import IssuedReceipt
from validator.receipts.signing import SignedReceipt

LENGTH = 0.3
PRICE = Decimal(20)


def working(miner: MinerPeer, message: Message) -> list[Message]:
    """A miner that accepts a job and executes it without end."""
    match message:
        case JobOffered():
            uuid = message.job_uuid
            return [JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid)]
        case JobPayload():
            return [VolumesReady(job_uuid=message.job_uuid)]
        case _:
            return []


def so_far(uuid: str) -> list[Message]:
    """The messages which that miner repeats after a reconnect."""
    return [kind(job_uuid=uuid) for kind in (JobAccepted, ExecutorReady, VolumesReady)]


def broken(uuid: str) -> HordeFailed:
    return HordeFailed(
        job_uuid=uuid,
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="The miner restarted while the job was volumes_ready",
    )


@pytest.fixture
def miner() -> MinerPeer:
    made = MinerPeer(working)
    made.extensions = (Extension.INTERVALS,)
    return made


def intervals(miner: MinerPeer) -> list[JobIntervalReceipt]:
    return [one.payload for one in miner.all(IntervalReceiptIssued)]


async def stored(uuid: str) -> list[tuple[int, Decimal]]:
    """Numbers and scores of the intervals in the database."""
    rows = IssuedReceipt.objects.filter(job_uuid=uuid, receipt_type="JobIntervalReceipt")
    listed = rows.order_by("id").values_list("interval", "score")
    return await in_database(lambda: list(listed))


async def test_each_interval_of_work_has_a_receipt_and_the_end_counts_for_all(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued, 5)
        await miner.send(*rest(job.uuid))
        finished = await miner.receives(FinishedReceiptIssued)
        received = intervals(miner)
        assert [one.interval for one in received] == [*range(len(received))]
        for issue in miner.all(IntervalReceiptIssued):
            verify_hex(VALIDATOR.ss58_address, issue.payload.blob(), issue.signature)
        ends = [one.time_started + timedelta(seconds=LENGTH) for one in received]
        assert [one.time_started for one in received[1:]] == ends[:-1]
        assert {one.score_str for one in received} == {"0.300000"}
        assert finished.payload.score_str == "20.000000"
        assert await stored(job.uuid) == [(n, Decimal("0.3")) for n in range(len(received))]


async def test_a_miner_that_announced_nothing_hears_of_no_intervals(
    scene: Scene, miner: MinerPeer
) -> None:
    job, miner.extensions = request(), ()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await facilitator.until(lambda: "volumes_ready" in facilitator.states(job.uuid))
        await asyncio.sleep(2)
        await miner.send(*rest(job.uuid))
        finished = await miner.receives(FinishedReceiptIssued)
    assert intervals(miner) == []
    assert finished.payload.score_str == "20.000000"


async def test_work_is_never_paid_beyond_the_price_of_the_job(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request(download_time_limit=0, execution_time_limit=1, upload_time_limit=0)
    async with scene(miner, interval_seconds=LENGTH, leeway_seconds=9) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued, 4)
        await asyncio.sleep(1)
        await miner.send(broken(job.uuid))
        finished = await miner.receives(FinishedReceiptIssued)
    assert [one.score_str for one in intervals(miner)] == ["0.300000"] * 3 + ["0.100000"]
    assert finished.payload.score_str == "1.000000"


@pytest.mark.parametrize("whose", ["the job's", "the miner's"])
async def test_a_job_that_breaks_off_is_paid_for_the_intervals_that_were_worked(
    scene: Scene, miner: MinerPeer, whose: str
) -> None:
    job = request()
    failed = JobFailed(
        job_uuid=job.uuid, reason=FailureReason.NONZERO_RETURN_CODE, stage=Stage.EXECUTION
    )
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued, 2)
        await miner.send(failed if whose == "the job's" else broken(job.uuid))
        finished = await miner.receives(FinishedReceiptIssued)
    earned = sum(Decimal(one.score_str) for one in intervals(miner))
    assert Decimal(finished.payload.score_str) == earned > 0


async def test_intervals_end_with_the_execution(scene: Scene, miner: MinerPeer) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued)
        await miner.send(ExecutionDone(job_uuid=job.uuid))
        await facilitator.until(lambda: "execution_done" in facilitator.states(job.uuid))
        before = await stored(job.uuid)
        await asyncio.sleep(4 * LENGTH)
        assert await stored(job.uuid) == before


async def test_a_miner_that_was_away_and_is_still_at_work_gets_what_it_missed(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued)
        await miner.stop()
        before = intervals(miner)
        await asyncio.sleep(4 * LENGTH)
        miner.repeats = so_far(job.uuid)
        miner.received.clear()
        await miner.start()
        await miner.until(lambda: len({one.interval for one in intervals(miner)}) > 5)
        numbers = {one.interval for one in intervals(miner)}
        # All receipts that may be lost with the connection are sent again, unchanged.
        assert numbers == set(range(max(numbers) + 1))
        assert set(before) <= set(intervals(miner))
        issued = [number for number, _ in await stored(job.uuid)]
        assert issued == [*range(len(issued))]
        assert numbers <= set(issued)


async def test_a_miner_that_lost_the_job_while_it_was_away_is_paid_for_before(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued, 2)
        await miner.stop()
        await asyncio.sleep(4 * LENGTH)
        worked = await stored(job.uuid)
        miner.repeats = [*so_far(job.uuid), broken(job.uuid)]
        await miner.start()
        finished = await miner.receives(FinishedReceiptIssued)
    assert await stored(job.uuid) == worked
    assert Decimal(finished.payload.score_str) == sum(score for _, score in worked) > 0


async def test_a_miner_that_stays_away_is_paid_for_what_it_did(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH, miner_absence_seconds=1) as facilitator:
        await facilitator.send(job)
        await miner.receives(IntervalReceiptIssued, 2)
        await miner.stop()
        end = await facilitator.receives_end(job.uuid)
        assert end.status is JobState.HORDE_FAILED
        row = IssuedReceipt.objects.filter(job_uuid=job.uuid, receipt_type="JobFinishedReceipt")
        finished = await in_database(row.get)
        worked = await stored(job.uuid)
        assert finished.score == sum(score for _, score in worked) > 0


async def test_a_restarted_listener_goes_on_with_the_next_interval(
    transactional_db: None, miner: MinerPeer
) -> None:
    facilitator, job = FacilitatorPeer(), request()
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        async with listening(facilitator, interval_seconds=LENGTH):
            await miner.until(lambda: miner.logins)
            await facilitator.send(job)
            await miner.receives(IntervalReceiptIssued, 3)
        before = await stored(job.uuid)
        await asyncio.sleep(4 * LENGTH)
        miner.repeats = so_far(job.uuid)
        async with listening(facilitator, interval_seconds=LENGTH):
            wanted = len(before) + 5
            await miner.until(lambda: intervals(miner)[-1].interval >= wanted)
            assert (await row_of(job.uuid)).state == "volumes_ready"
            await miner.send(*rest(job.uuid))
            finished = await miner.receives(FinishedReceiptIssued)
        numbers = [number for number, _ in await stored(job.uuid)]
        assert numbers == [*range(len(numbers))]
        assert {one.interval for one in intervals(miner)} == set(numbers)
        assert finished.payload.score_str == "20.000000"


async def test_another_length_after_a_restart_overlaps_nothing(
    transactional_db: None, miner: MinerPeer
) -> None:
    facilitator, job = FacilitatorPeer(), request()
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        async with listening(facilitator, interval_seconds=LENGTH):
            await miner.until(lambda: miner.logins)
            await facilitator.send(job)
            await miner.receives(IntervalReceiptIssued, 2)
        miner.repeats = so_far(job.uuid)
        async with listening(facilitator, interval_seconds=LENGTH / 2):
            await miner.until(lambda: intervals(miner)[-1].interval >= 5)
    received = sorted({one.interval: one for one in intervals(miner)}.items())
    lengths = [timedelta(microseconds=one.time_took_us) for _, one in received]
    ends = [one.time_started + length for (_, one), length in zip(received, lengths, strict=True)]
    assert [one.time_started for _, one in received[1:]] == ends[:-1]
    assert len(set(lengths)) == 2


async def test_a_job_shorter_than_an_interval_has_none(scene: Scene, miner: MinerPeer) -> None:
    job, miner.script = request(), obliging
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        await miner.receives(FinishedReceiptIssued)
    assert await stored(job.uuid) == []


async def test_a_miner_that_goes_while_it_is_reminded_is_not_paid_for_its_absence() -> None:
    start, received = now(), []

    class FakeConnection:
        connected, extensions, connection_count = True, frozenset(Extension), 1

        async def send(self, message: Message) -> None:
            received.append(message)
            self.connected = False

    contract = MinerContract(
        request(), "miner", VALIDATOR, rules.budget(request(), config.timing), is_organic=True
    )
    length = timedelta(seconds=0.01)
    first = contract.sign_interval_receipt(
        0, began=start - length, length=length, score=Decimal(1), now=start
    )
    worked = WorkProgress(start - length)
    worked.add(first)

    async def record(issued: SignedReceipt) -> None:
        raise AssertionError("nothing was earned")

    connection = FakeConnection()
    interval_issuer = IntervalIssuer(
        worked, contract, connection, limit=PRICE, length=length, now=now, record=record
    )
    ready = VolumesReady(job_uuid=contract.job.uuid)
    state = JobState.VOLUMES_READY
    async with interval_issuer.running():
        interval_issuer.on_step(Step(ready, Party.MINER, state, state, start))
        await eventually(lambda: not connection.connected)
        await asyncio.sleep(0.1)
    assert [one.payload.interval for one in received] == [0]
    assert worked.count == 1
