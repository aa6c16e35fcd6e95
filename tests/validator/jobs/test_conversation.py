"""The messages sent to a miner, and how its answers are handled."""

from datetime import timedelta
from uuid import uuid4

import pytest

from compute_horde import hardware
from compute_horde.protocol.job import (
    ExecutorReady,
    JobAccepted,
    JobFailed,
    JobOffered,
    JobPayload,
    StreamingDetails,
    StreamingReady,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.receipts import counter_sign
from compute_horde.signing import signed_hex, validator_signed_text, verify_hex
from compute_horde.vocabulary import (
    FailureReason,
    HordeReason,
    JobState,
    Party,
    Stage,
)
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, extended, obliging, offered_then, rest, result
from tests.peers.user import request
from tests.validator.conftest import Scene
from tests.validator.rows import ALL_STATES
from validator.jobs import runner


async def test_everything_said_to_the_miner_is_signed_as_published_miners_check_it(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        finished = await miner.receives(FinishedReceiptIssued)
        for kind in (JobOffered, JobPayload):
            sent = await miner.receives(kind)
            text = validator_signed_text(sent.model_dump(mode="json"))
            verify_hex(VALIDATOR.ss58_address, text, sent.validator_signature)
        offered, accepted = (
            await miner.receives(JobOffered),
            await miner.receives(AcceptedReceiptIssued),
        )
        started = offered.job_started_receipt_payload
        for payload, signature in (
            (started, offered.job_started_receipt_signature),
            (accepted.payload, accepted.signature),
            (finished.payload, finished.signature),
        ):
            counter_sign(payload, signature, miner.keypair).verify()
        assert (started.is_organic, started.ttl) == (True, 5)


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        ([], HordeReason.INITIAL_RESPONSE_TIMED_OUT),
        ([JobAccepted], HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT),
        ([JobAccepted, ExecutorReady], HordeReason.VOLUMES_TIMED_OUT),
        ([JobAccepted, ExecutorReady, VolumesReady], HordeReason.EXECUTION_TIMED_OUT),
    ],
)
async def test_a_silent_miner_ends_the_job_and_is_paid_nothing(
    scene: Scene, received: list, reason: HordeReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = hardware.Promise("T", timedelta(milliseconds=50))
    monkeypatch.setitem(hardware.PROMISES, hardware.ExecutorClass.always_on__test, quick)
    miner = MinerPeer(offered_then(*received))
    limits = {
        "download_time_limit": 0,
        "execution_time_limit": 0,
        "upload_time_limit": 0,
    }
    job = request(**limits)
    brisk = {"reservation_seconds": 1, "startup_seconds": 0, "leeway_seconds": 0}
    async with scene(miner, **brisk) as facilitator:
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        assert end.status is JobState.HORDE_FAILED
        details = end.metadata.horde_failure_details
        assert (details.reason, details.reported_by) == (reason, Party.VALIDATOR)
        finished = await miner.receives(FinishedReceiptIssued)
        assert finished.payload.score_str == "0.000000"


async def test_failures_told_by_the_miner_reach_the_facilitator_unchanged(scene: Scene) -> None:
    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            failed = JobFailed(
                job_uuid=message.job_uuid,
                message="exit 3",
                reason=FailureReason.NONZERO_RETURN_CODE,
                stage=Stage.EXECUTION,
                docker_process_exit_status=3,
                docker_process_stdout="o",
            )
            return [VolumesReady(job_uuid=message.job_uuid), failed]
        return obliging(miner, message)

    miner, job = MinerPeer(script), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        assert end.status is JobState.FAILED
        assert end.metadata.job_failure_details.docker_process_exit_status == 3
        finished = await miner.receives(FinishedReceiptIssued)
        assert finished.payload.score_str == "0.000000"


async def test_a_miner_that_comes_back_repeats_its_facts_and_the_job_ends_well(
    scene: Scene,
) -> None:
    miner, job = extended(MinerPeer(offered_then(JobAccepted, ExecutorReady))), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        await miner.receives(JobPayload)
        uuid = job.uuid
        miner.repeats = [
            JobAccepted(job_uuid=uuid),
            ExecutorReady(job_uuid=uuid),
            VolumesReady(job_uuid=uuid),
            *rest(uuid),
        ]
        await miner.connections[0].close()
        assert (await facilitator.receives_end(uuid)).status is JobState.COMPLETED
        assert facilitator.states(uuid) == ALL_STATES
        await miner.receives(FinishedReceiptIssued)
    receipts = miner.all(AcceptedReceiptIssued)
    assert {one.payload for one in receipts} == {receipts[0].payload}


async def test_a_miner_that_stays_away_ends_its_jobs(scene: Scene) -> None:
    miner, job = MinerPeer(offered_then(JobAccepted)), request()
    async with scene(miner, miner_absence_seconds=0.4) as facilitator:
        await facilitator.send(job)
        await facilitator.until(lambda: "accepted" in facilitator.states(job.uuid))
        await miner.stop()
        end = await facilitator.receives_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED
        assert miner.hotkey in details.message


async def test_a_miner_that_missed_the_end_is_reminded(scene: Scene) -> None:
    miner, job = extended(MinerPeer()), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        first = await miner.receives(FinishedReceiptIssued)
        await miner.send(result(job.uuid))
        assert await miner.receives(FinishedReceiptIssued, 2) == first
        await miner.send(result(str(uuid4())))
        await miner.send(result(job.uuid))
        assert await miner.receives(FinishedReceiptIssued, 3) == first


def serving(port: int = 6006):
    """A miner that signs for port 6006 and names `port`."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        uuid = message.job_uuid
        ready = StreamingReady(job_uuid=uuid, public_key="CERT", ip="203.0.113.7", port=6006)
        signature = signed_hex(miner.keypair, ready.blob())
        reported = ready.model_copy(update={"miner_signature": signature, "port": port})
        return [VolumesReady(job_uuid=uuid), reported, *rest(uuid)]

    return script


async def test_where_a_job_serves_is_told_with_a_proof(scene: Scene) -> None:
    job = request(streaming_details=StreamingDetails(public_key="PEM"))
    async with scene(MinerPeer(serving()), streaming_images=["*"]) as facilitator:
        await facilitator.send(job)
        await facilitator.receives_end(job.uuid)
        statuses = facilitator.all(StatusReported)
    (metadata,) = [one.metadata for one in statuses if one.status is JobState.STREAMING_READY]
    where = (job.uuid, "203.0.113.7", 6006, "CERT")
    metadata.streaming_proof.verify(VALIDATOR.ss58_address, where)
    assert metadata.streaming_details.streaming_server_port == 6006


async def test_a_miner_that_signed_another_place_fails_the_job(scene: Scene) -> None:
    job = request(streaming_details=StreamingDetails(public_key="PEM"))
    async with scene(MinerPeer(serving(6007)), streaming_images=["*"]) as facilitator:
        await facilitator.send(job)
        last = await facilitator.receives_end(job.uuid)
    assert last.status is JobState.HORDE_FAILED
    assert last.metadata.horde_failure_details.reason is HordeReason.STREAMING_FAILED


async def test_an_image_that_is_not_listed_reaches_no_miner(scene: Scene) -> None:
    job = request(streaming_details=StreamingDetails(public_key="PEM"))
    miner = MinerPeer(serving())
    async with scene(miner, streaming_images=["org/*"]) as facilitator:
        await facilitator.send(job)
        last = await facilitator.receives_end(job.uuid)
    assert last.status is JobState.REJECTED
    assert "no streaming jobs" in last.metadata.job_rejection_details.message
    assert miner.all(JobOffered) == []


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wall_clock_that_is_set_meanwhile_ends_no_job(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    real, shift = runner.now, [timedelta(0)]
    monkeypatch.setattr(runner, "now", lambda: real() + shift[0])
    miner, job = extended(MinerPeer(offered_then(JobAccepted, ExecutorReady))), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        await miner.receives(JobPayload)
        shift[0] = timedelta(hours=hours)
        await miner.send(VolumesReady(job_uuid=job.uuid))
        await facilitator.until(lambda: "volumes_ready" in facilitator.states(job.uuid))
        await miner.send(*rest(job.uuid))
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
