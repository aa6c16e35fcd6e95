"""A user's job ends when he says so: with its miner's help or without, and paid for its time."""

import asyncio
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

import pytest

from compute_horde.django.database import in_database
from compute_horde.errors import Cancelled
from compute_horde.protocol import extensions
from compute_horde.protocol.extensions import CancelOrdered, CancelRequested, JobCancelled
from compute_horde.protocol.job import (
    ExecutorReady,
    JobAccepted,
    JobDeclined,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.signing import sign_request, verify_validator_frame
from compute_horde.vocabulary import (
    Extension,
    FailureReason,
    JobState,
    Party,
    RejectionReason,
    SignatureScope,
    Stage,
)
from tests.validator.conftest import listening, remember
from tests.validator.peers import (
    STRANGER,
    USER,
    VALIDATOR,
    FacilitatorPeer,
    MinerPeer,
    request,
    result,
    serving,
)
from tests.validator.scripts import OTHER_MINER, offered_then, rest, row_of
from validator.jobs import actions, cancel
from validator.receipts.models import IssuedReceipt

RUNNING = (JobAccepted, ExecutorReady, VolumesReady)


def wish(uuid: str, signer=USER) -> CancelRequested:
    signature = sign_request(
        signer,
        extensions.cancel_text(uuid),
        timestamp_ns=1,
        scope=SignatureScope.FULL_REQUEST,
    )
    return CancelRequested(signature=signature, job_uuid=uuid)


def ended(uuid: str, stdout: str = "so far") -> JobCancelled:
    return JobCancelled(
        job_uuid=uuid,
        reported_by=Party.EXECUTOR,
        message="The job was cancelled",
        stage=Stage.EXECUTION,
        docker_process_stdout=stdout,
    )


def runs(*on_cancel):
    """A miner with our extensions whose jobs run until they are cancelled."""
    offered = offered_then(*RUNNING)

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, CancelOrdered):
            return [one(message.job_uuid) for one in on_cancel]
        return offered(miner, message)

    miner = MinerPeer(script)
    miner.extensions = tuple(Extension)
    return miner


@asynccontextmanager
async def playing(*miners: MinerPeer, announces=tuple(Extension)):
    """A facilitator that announces our extensions, a listener, and these miners."""
    facilitator = FacilitatorPeer()
    facilitator.extensions = announces
    async with serving(facilitator, *miners):
        await in_database(remember, *miners)
        async with listening(facilitator) as listener:
            await facilitator.until(lambda: facilitator.logins)
            for miner in miners:
                await miner.until(lambda miner=miner: miner.logins)
            yield facilitator, listener


async def reached(facilitator: FacilitatorPeer, uuid: str, state: str) -> None:
    await facilitator.until(lambda: state in facilitator.states(uuid))


async def end_of(facilitator: FacilitatorPeer, uuid: str) -> StatusReported:
    def end():
        told = [one for one in facilitator.all(StatusReported) if one.uuid == uuid]
        return next((one for one in told if one.status in ENDS), None)

    return await facilitator.until(end)


ENDS = {JobState.CANCELLED, JobState.FAILED, JobState.HORDE_FAILED, JobState.COMPLETED,
        JobState.REJECTED}  # fmt: skip


async def score_of(uuid: str) -> Decimal:
    rows = IssuedReceipt.objects.filter(job_uuid=uuid, receipt_type="JobFinishedReceipt")
    return (await in_database(rows.get)).score


pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_miner_that_understands_ends_the_job_and_is_paid_for_its_time() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid), wish(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        details = end.metadata.job_failure_details
        assert (details.reason, details.stage) == (FailureReason.CANCELLED, Stage.EXECUTION)
        assert details.docker_process_stdout == "so far"
        receipt = await miner.hears(FinishedReceiptIssued)
        assert 0 < Decimal(receipt.payload.score_str) < 20
        order = miner.all(CancelOrdered)
        assert len(order) == 1
        assert verify_validator_frame(order[0].encode(), VALIDATOR.ss58_address)
    assert (await row_of(job.uuid)).state == JobState.CANCELLED
    assert await score_of(job.uuid) == Decimal(receipt.payload.score_str)


async def test_a_published_miner_is_told_by_a_receipt_that_the_job_is_over() -> None:
    miner, job = MinerPeer(offered_then(*RUNNING)), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        await miner.hears(FinishedReceiptIssued)
        assert not miner.all(CancelOrdered)
        # What it says of the job from now on is answered with the receipt again.
        await miner.say(*rest(job.uuid))
        await miner.hears(FinishedReceiptIssued, 2)
    assert (await row_of(job.uuid)).state == JobState.CANCELLED


async def test_a_miner_that_does_not_obey_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "MINER_SECONDS", 0.2)
    miner, job = runs(), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        assert miner.all(CancelOrdered)
        await miner.hears(FinishedReceiptIssued)


async def test_a_job_that_was_done_before_the_order_keeps_its_result() -> None:
    miner, job = runs(lambda uuid: rest(uuid)[0], result), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.COMPLETED
        # Too late now: the end is told again, and stays.
        await facilitator.say(wish(job.uuid))
        await facilitator.until(lambda: facilitator.states(job.uuid).count("completed") > 1)
    assert await score_of(job.uuid) == 20


async def test_a_job_in_the_queue_ends_at_once() -> None:
    miner, job = MinerPeer(manifest={"always_on.test": 1}), request()
    miner.script = offered_then(*RUNNING)
    async with playing(miner) as (facilitator, _):
        first = request()
        await facilitator.say(first)
        await reached(facilitator, first.uuid, "volumes_ready")
        await facilitator.say(job, wish(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert (end.status, facilitator.states(job.uuid)) == (
            JobState.CANCELLED,
            ["received", "cancelled"],
        )
        assert [one.job_uuid for one in miner.all(JobOffered)] == [first.uuid]
    assert not await in_database(IssuedReceipt.objects.filter(job_uuid=job.uuid).exists)


async def test_an_offer_nobody_answered_yet_is_worth_nothing() -> None:
    miner, job = runs(ended), request()
    miner.script = lambda miner, message: (
        [ended(job.uuid)] if isinstance(message, CancelOrdered) else []
    )
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await miner.hears(JobOffered)
        await facilitator.say(wish(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        receipt = await miner.hears(FinishedReceiptIssued)
        assert Decimal(receipt.payload.score_str) == 0


async def test_a_job_its_miner_declines_meanwhile_goes_to_no_other() -> None:
    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, CancelOrdered):
            return [JobDeclined(job_uuid=message.job_uuid, reason=RejectionReason.BUSY)]
        return []

    first, second = MinerPeer(script), MinerPeer(script, keypair=OTHER_MINER)
    first.extensions = second.extensions = tuple(Extension)
    job = request()
    async with playing(first, second) as (facilitator, _):
        await facilitator.say(job)
        async with asyncio.timeout(5):
            while not (first.all(JobOffered) + second.all(JobOffered)):
                await asyncio.sleep(0.01)
        await facilitator.say(wish(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        assert len(first.all(JobOffered) + second.all(JobOffered)) == 1


async def test_a_strangers_wish_is_not_heeded() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        forged = wish(str(uuid4())).model_copy(update={"job_uuid": job.uuid})
        await facilitator.say(wish(job.uuid, STRANGER), forged)
        await facilitator.say(request(signer=STRANGER))
        await facilitator.until(lambda: "rejected" in map(str, _statuses(facilitator)))
        assert not miner.all(CancelOrdered)
        assert (await row_of(job.uuid)).cancel_asked_at is None


def _statuses(facilitator: FacilitatorPeer) -> list[JobState]:
    return [one.status for one in facilitator.all(StatusReported)]


async def test_a_miner_cannot_cancel_by_itself() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await miner.say(ended(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.HORDE_FAILED
        assert "nobody asked" in end.metadata.horde_failure_details.message


async def test_a_facilitator_that_announced_nothing_hears_of_a_failure() -> None:
    miner, job = runs(ended), request()
    async with playing(miner, announces=()) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert (end.status, end.metadata.job_failure_details.reason) == ("failed", "unknown")
        assert end.metadata.job_failure_details.message == "The job was cancelled"
    assert (await row_of(job.uuid)).state == JobState.CANCELLED


async def test_a_wish_is_remembered_by_the_next_process(monkeypatch: pytest.MonkeyPatch) -> None:
    job, silent = request(), runs()
    async with playing(silent) as (facilitator, _):
        await facilitator.say(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.say(wish(job.uuid))
        await silent.hears(CancelOrdered)
    assert (await row_of(job.uuid)).state == JobState.VOLUMES_READY
    obeying = runs(ended)
    async with playing(obeying) as (facilitator, _):
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        assert obeying.all(CancelOrdered)
    assert await score_of(job.uuid) > 0


async def test_a_wish_may_come_before_the_job_is_stored() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.say(wish(job.uuid), job)
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED


async def test_an_operator_ends_a_job() -> None:
    miner = runs(ended)
    async with playing(miner):
        order = request(signer=None)
        await in_database(actions.order, order, miner="")
        await miner.hears(JobPayload)
        assert await in_database(actions.cancel, order.uuid)
        await miner.hears(CancelOrdered)
        receipt = await miner.hears(FinishedReceiptIssued)
        assert Decimal(receipt.payload.score_str) == 0
    assert (await row_of(order.uuid)).state == JobState.CANCELLED
    assert not await in_database(actions.cancel, order.uuid)


async def test_a_miner_that_talks_on_does_not_put_off_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancel, "MINER_SECONDS", 0.1)
    uuid = str(uuid4())

    class Line:
        extensions = frozenset(Extension)

        async def wait(self, seconds: float) -> bool:
            return True

        async def say(self, message: Message) -> None:
            assert isinstance(message, CancelOrdered)

    async def listen() -> Message:
        return JobAccepted(job_uuid=uuid)

    asked = asyncio.Event()
    asked.set()
    heeding = cancel.Heeding(uuid, Line(), VALIDATOR, asked, listen)
    until = time.monotonic() + 5

    async def hear_all() -> None:
        while time.monotonic() < until:
            await heeding()

    with pytest.raises(Cancelled):
        await hear_all()
