"""Work is paid for while it goes on, each interval once, whatever happens to the lines."""

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
from tests.validator.conftest import Scene, listening, remember
from tests.validator.peers import (
    VALIDATOR,
    FacilitatorPeer,
    MinerPeer,
    obliging,
    request,
    serving,
)
from tests.validator.scripts import rest, row_of
from validator.config import config
from validator.jobs import rules
from validator.jobs.conductor import now
from validator.jobs.conversation import Deal, Issued
from validator.jobs.drive import Step
from validator.jobs.intervals import Meter, Worked
from validator.receipts.models import IssuedReceipt

LENGTH = 0.3
PRICE = Decimal(20)


def working(miner: MinerPeer, message: Message) -> list[Message]:
    """A miner that takes a job and works on."""
    match message:
        case JobOffered():
            uuid = message.job_uuid
            return [JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid)]
        case JobPayload():
            return [VolumesReady(job_uuid=message.job_uuid)]
        case _:
            return []


def so_far(uuid: str) -> list[Message]:
    """What that miner repeats."""
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
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued, 5)
        await miner.say(*rest(job.uuid))
        finished = await miner.hears(FinishedReceiptIssued)
        told = intervals(miner)
        assert [one.interval for one in told] == [*range(len(told))]
        for said in miner.all(IntervalReceiptIssued):
            verify_hex(VALIDATOR.ss58_address, said.payload.blob(), said.signature)
        ends = [one.time_started + timedelta(seconds=LENGTH) for one in told]
        assert [one.time_started for one in told[1:]] == ends[:-1]
        assert {one.score_str for one in told} == {"0.300000"}
        assert finished.payload.score_str == "20.000000"
        assert await stored(job.uuid) == [(n, Decimal("0.3")) for n in range(len(told))]


async def test_a_miner_that_announced_nothing_hears_of_no_intervals(
    scene: Scene, miner: MinerPeer
) -> None:
    job, miner.extensions = request(), ()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.say(job)
        await facilitator.until(lambda: "volumes_ready" in facilitator.states(job.uuid))
        await asyncio.sleep(2)
        await miner.say(*rest(job.uuid))
        finished = await miner.hears(FinishedReceiptIssued)
    assert intervals(miner) == []
    assert finished.payload.score_str == "20.000000"


async def test_work_is_never_paid_beyond_the_price_of_the_job(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request(download_time_limit=0, execution_time_limit=1, upload_time_limit=0)
    async with scene(miner, interval_seconds=LENGTH, leeway_seconds=9) as facilitator:
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued, 4)
        await asyncio.sleep(1)
        await miner.say(broken(job.uuid))
        finished = await miner.hears(FinishedReceiptIssued)
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
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued, 2)
        await miner.say(failed if whose == "the job's" else broken(job.uuid))
        finished = await miner.hears(FinishedReceiptIssued)
    earned = sum(Decimal(one.score_str) for one in intervals(miner))
    assert Decimal(finished.payload.score_str) == earned > 0


async def test_intervals_end_with_the_execution(scene: Scene, miner: MinerPeer) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued)
        await miner.say(ExecutionDone(job_uuid=job.uuid))
        await facilitator.until(lambda: "execution_done" in facilitator.states(job.uuid))
        before = await stored(job.uuid)
        await asyncio.sleep(4 * LENGTH)
        assert await stored(job.uuid) == before


async def test_a_miner_that_was_away_and_is_still_at_work_gets_what_it_missed(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH) as facilitator:
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued)
        await miner.stop()
        before = intervals(miner)
        await asyncio.sleep(4 * LENGTH)
        miner.repeats = so_far(job.uuid)
        miner.heard.clear()
        await miner.start()
        await miner.until(lambda: len({one.interval for one in intervals(miner)}) > 5)
        numbers = {one.interval for one in intervals(miner)}
        # All that the lost line may have swallowed is said again, and is the same.
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
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued, 2)
        await miner.stop()
        await asyncio.sleep(4 * LENGTH)
        worked = await stored(job.uuid)
        miner.repeats = [*so_far(job.uuid), broken(job.uuid)]
        await miner.start()
        finished = await miner.hears(FinishedReceiptIssued)
    assert await stored(job.uuid) == worked
    assert Decimal(finished.payload.score_str) == sum(score for _, score in worked) > 0


async def test_a_miner_that_stays_away_is_paid_for_what_it_did(
    scene: Scene, miner: MinerPeer
) -> None:
    job = request()
    async with scene(miner, interval_seconds=LENGTH, miner_absence_seconds=1) as facilitator:
        await facilitator.say(job)
        await miner.hears(IntervalReceiptIssued, 2)
        await miner.stop()
        end = await facilitator.hears_end(job.uuid)
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
            await facilitator.say(job)
            await miner.hears(IntervalReceiptIssued, 3)
        before = await stored(job.uuid)
        await asyncio.sleep(4 * LENGTH)
        miner.repeats = so_far(job.uuid)
        async with listening(facilitator, interval_seconds=LENGTH):
            wanted = len(before) + 5
            await miner.until(lambda: intervals(miner)[-1].interval >= wanted)
            assert (await row_of(job.uuid)).state == "volumes_ready"
            await miner.say(*rest(job.uuid))
            finished = await miner.hears(FinishedReceiptIssued)
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
            await facilitator.say(job)
            await miner.hears(IntervalReceiptIssued, 2)
        miner.repeats = so_far(job.uuid)
        async with listening(facilitator, interval_seconds=LENGTH / 2):
            await miner.until(lambda: intervals(miner)[-1].interval >= 5)
    told = sorted({one.interval: one for one in intervals(miner)}.items())
    lengths = [timedelta(microseconds=one.time_took_us) for _, one in told]
    ends = [one.time_started + length for (_, one), length in zip(told, lengths, strict=True)]
    assert [one.time_started for _, one in told[1:]] == ends[:-1]
    assert len(set(lengths)) == 2


async def test_a_job_shorter_than_an_interval_has_none(scene: Scene, miner: MinerPeer) -> None:
    job, miner.script = request(), obliging
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        await miner.hears(FinishedReceiptIssued)
    assert await stored(job.uuid) == []


async def test_a_miner_that_goes_while_it_is_reminded_is_not_paid_for_its_absence() -> None:
    start, told = now(), []

    class Line:
        connected, extensions, arrivals = True, frozenset(Extension), 1

        async def say(self, message: Message) -> None:
            told.append(message)
            self.connected = False

    deal = Deal(
        request(), "miner", VALIDATOR, rules.budget(request(), config.patience), is_organic=True
    )
    length = timedelta(seconds=0.01)
    first = deal.interval(0, began=start - length, length=length, score=Decimal(1), now=start)
    worked = Worked(start - length)
    worked.add(first)

    async def record(issued: Issued) -> None:
        raise AssertionError("nothing was earned")

    line = Line()
    meter = Meter(worked, deal, line, limit=PRICE, length=length, now=now, record=record)
    ready = VolumesReady(job_uuid=deal.job.uuid)
    state = JobState.VOLUMES_READY
    async with meter.running():
        meter.heed(Step(ready, Party.MINER, state, state, start))
        async with asyncio.timeout(5):
            while line.connected:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert [one.payload.interval for one in told] == [0]
    assert worked.count == 1
