"""Cancelled jobs: ended by the miner or without it, and paid for the time they took."""

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
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import OTHER_MINER, STRANGER, USER, VALIDATOR
from tests.peers.miner import MinerPeer, offered_then, rest, result
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import listening, remember
from tests.validator.rows import row_of
from validator.jobs import actions, cancellation
from validator.receipts.models import IssuedReceipt

RUNNING = (JobAccepted, ExecutorReady, VolumesReady)


def placement(uuid: str, signer=USER) -> CancelRequested:
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
    """A miner with all extensions whose jobs run until they are cancelled."""
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
    """A facilitator that announces all extensions, a listener, and these miners."""
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
        received = [one for one in facilitator.all(StatusReported) if one.uuid == uuid]
        return next((one for one in received if one.status in ENDS), None)

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
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid), placement(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        details = end.metadata.job_failure_details
        assert (details.reason, details.stage) == (FailureReason.CANCELLED, Stage.EXECUTION)
        assert details.docker_process_stdout == "so far"
        receipt = await miner.receives(FinishedReceiptIssued)
        assert 0 < Decimal(receipt.payload.score_str) < 20
        order = miner.all(CancelOrdered)
        assert len(order) == 1
        assert verify_validator_frame(order[0].encode(), VALIDATOR.ss58_address)
    assert (await row_of(job.uuid)).state == JobState.CANCELLED
    assert await score_of(job.uuid) == Decimal(receipt.payload.score_str)


async def test_a_published_miner_is_told_by_a_receipt_that_the_job_is_over() -> None:
    miner, job = MinerPeer(offered_then(*RUNNING)), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        await miner.receives(FinishedReceiptIssued)
        assert not miner.all(CancelOrdered)
        # A second receipt would make it close the connection, so later messages get no answer.
        good = request()
        await facilitator.send(good)
        await miner.receives(JobPayload, 2)
        await miner.send(*rest(job.uuid), VolumesReady(job_uuid=good.uuid), *rest(good.uuid))
        await miner.receives(FinishedReceiptIssued, 2)
        received = [one.payload.job_uuid for one in miner.all(FinishedReceiptIssued)]
        assert received == [job.uuid, good.uuid]
    assert (await row_of(job.uuid)).state == JobState.CANCELLED


async def test_a_miner_that_does_not_obey_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "MINER_SECONDS", 0.2)
    miner, job = runs(), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.CANCELLED
        assert miner.all(CancelOrdered)
        await miner.receives(FinishedReceiptIssued)


async def test_a_job_that_was_done_before_the_order_keeps_its_result() -> None:
    miner, job = runs(lambda uuid: rest(uuid)[0], result), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.COMPLETED
        # Too late now: the end is reported again and does not change.
        await facilitator.send(placement(job.uuid))
        await facilitator.until(lambda: facilitator.states(job.uuid).count("completed") > 1)
    assert await score_of(job.uuid) == 20


async def test_a_job_in_the_queue_ends_at_once() -> None:
    miner, job = MinerPeer(manifest={"always_on.test": 1}), request()
    miner.script = offered_then(*RUNNING)
    async with playing(miner) as (facilitator, _):
        first = request()
        await facilitator.send(first)
        await reached(facilitator, first.uuid, "volumes_ready")
        await facilitator.send(job, placement(job.uuid))
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
        await facilitator.send(job)
        await miner.receives(JobOffered)
        await facilitator.send(placement(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        receipt = await miner.receives(FinishedReceiptIssued)
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
        await facilitator.send(job)
        await eventually(lambda: first.all(JobOffered) + second.all(JobOffered))
        await facilitator.send(placement(job.uuid))
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        assert len(first.all(JobOffered) + second.all(JobOffered)) == 1


async def test_a_strangers_wish_is_not_heeded() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        forged = placement(str(uuid4())).model_copy(update={"job_uuid": job.uuid})
        await facilitator.send(placement(job.uuid, STRANGER), forged)
        await facilitator.send(request(signer=STRANGER))
        await facilitator.until(lambda: "rejected" in map(str, _statuses(facilitator)))
        assert not miner.all(CancelOrdered)
        assert (await row_of(job.uuid)).cancel_asked_at is None


def _statuses(facilitator: FacilitatorPeer) -> list[JobState]:
    return [one.status for one in facilitator.all(StatusReported)]


async def test_a_miner_cannot_cancel_by_itself() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await miner.send(ended(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert end.status is JobState.HORDE_FAILED
        assert "nobody asked" in end.metadata.horde_failure_details.message


async def test_a_facilitator_that_announced_nothing_hears_of_a_failure() -> None:
    miner, job = runs(ended), request()
    async with playing(miner, announces=()) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid))
        end = await end_of(facilitator, job.uuid)
        assert (end.status, end.metadata.job_failure_details.reason) == ("failed", "unknown")
        assert end.metadata.job_failure_details.message == "The job was cancelled"
    assert (await row_of(job.uuid)).state == JobState.CANCELLED


async def test_a_wish_is_remembered_by_the_next_process(monkeypatch: pytest.MonkeyPatch) -> None:
    job, silent = request(), runs()
    async with playing(silent) as (facilitator, _):
        await facilitator.send(job)
        await reached(facilitator, job.uuid, "volumes_ready")
        await facilitator.send(placement(job.uuid))
        await silent.receives(CancelOrdered)
    assert (await row_of(job.uuid)).state == JobState.VOLUMES_READY
    obeying = runs(ended)
    async with playing(obeying) as (facilitator, _):
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED
        assert obeying.all(CancelOrdered)
    assert await score_of(job.uuid) > 0


async def test_a_wish_may_come_before_the_job_is_stored() -> None:
    miner, job = runs(ended), request()
    async with playing(miner) as (facilitator, _):
        await facilitator.send(placement(job.uuid), job)
        assert (await end_of(facilitator, job.uuid)).status is JobState.CANCELLED


async def test_an_operator_ends_a_job() -> None:
    miner = runs(ended)
    async with playing(miner):
        order = request(signer=None)
        await in_database(actions.create_admin_job, order, miner="")
        await miner.receives(JobPayload)
        assert await in_database(actions.cancel, order.uuid)
        await miner.receives(CancelOrdered)
        receipt = await miner.receives(FinishedReceiptIssued)
        assert Decimal(receipt.payload.score_str) == 0
    assert (await row_of(order.uuid)).state == JobState.CANCELLED
    assert not await in_database(actions.cancel, order.uuid)


async def test_a_miner_that_talks_on_does_not_put_off_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellation, "MINER_SECONDS", 0.1)
    uuid = str(uuid4())

    class FakeConnection:
        extensions = frozenset(Extension)

        async def wait(self, seconds: float) -> bool:
            return True

        async def send(self, message: Message) -> None:
            assert isinstance(message, CancelOrdered)

    async def listen() -> Message:
        return JobAccepted(job_uuid=uuid)

    asked = asyncio.Event()
    asked.set()
    miner = FakeConnection()
    interruptible = cancellation.CancellableListener(uuid, miner, VALIDATOR, asked, listen)
    until = time.monotonic() + 5

    async def receive_all() -> None:
        while time.monotonic() < until:
            await interruptible()

    with pytest.raises(Cancelled):
        await receive_all()
