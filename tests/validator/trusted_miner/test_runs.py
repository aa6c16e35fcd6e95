"""One job on the trusted miner: its result, and a named error for everything that goes wrong."""

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import (
    ExecutionDone,
    JobAccepted,
    JobDeclined,
    JobFailed,
    JobOffered,
    JobPayload,
    StreamingDetails,
    StreamingReady,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.uploads import FilePut
from compute_horde.vocabulary import FailureReason, RejectionReason
from compute_horde.volumes import InlineVolume
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer, declining, lost, obliging, offered_then, result
from tests.peers.published_miner import PublishedMiner
from tests.peers.websocket_server import serving
from tests.validator.conftest import configured
from validator.miners import job_connections
from validator.miners.connection import Address
from validator.trusted_miner import runs
from validator.trusted_miner.errors import (
    TrustedJobFailedError,
    TrustedJobTimedOutError,
    TrustedMinerDeclinedError,
    TrustedMinerNotConfiguredError,
    TrustedMinerUnreachableError,
)
from validator.trusted_miner.runs import TrustedJob, TrustedMiner, TrustedResult, run_trusted_job

JOB = TrustedJob(
    image="image:v1",
    executor_class=ExecutorClass.always_on__test,
    execution_seconds=5,
    args=["go"],
    env={"A": "1"},
    volume=InlineVolume(contents="UEsFBg=="),
    output_upload=FilePut(url="http://bucket/x", relative_path="x"),
    artifacts_dir="/artifacts",
    download_seconds=5,
    upload_seconds=5,
)


def trusted(port: int, **fields: Any) -> TrustedMiner:
    """The trusted miner at this port, with short time limits."""
    config = configured(startup_seconds=1, leeway_seconds=0, **fields)
    address = Address(TRUSTED_MINER_HOTKEY, "127.0.0.1", port)
    return TrustedMiner(address, VALIDATOR, config.timing, 0.2)


async def ran(miner: MinerPeer, job: TrustedJob = JOB, **options: Any) -> TrustedResult:
    async with serving(miner):
        return await run_trusted_job(job, trusted(miner.port), **options)


def paying(**fields: Any):
    """A miner whose results have these fields."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        uuid = message.job_uuid
        return [
            VolumesReady(job_uuid=uuid),
            ExecutionDone(job_uuid=uuid),
            result(uuid, **fields),
        ]

    return script


def failing(**fields: Any):
    """A miner whose jobs fail when they are there."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            return [JobFailed(job_uuid=message.job_uuid, **fields)]
        return obliging(miner, message)

    return script


async def test_the_result_is_returned_and_the_miner_gets_the_whole_job() -> None:
    artifacts = {"/artifacts/a": base64.b64encode(b"\0a").decode()}
    miner = MinerPeer(paying(stdout="out", artifacts=artifacts, upload_results={"x": "{}"}))
    async with serving(miner):
        done = await run_trusted_job(JOB, trusted(miner.port))
        finished = await miner.receives(FinishedReceiptIssued)
    assert (done.stdout, done.stderr) == ("out", "")
    assert done.artifacts == {"/artifacts/a": b"\0a"}
    assert done.upload_results == {"x": "{}"}
    assert 0 <= done.seconds < 5
    [offer], [payload] = miner.all(JobOffered), miner.all(JobPayload)
    assert (offer.docker_image, offer.volume, offer.job_uuid) == (
        "image:v1",
        JOB.volume,
        done.job_uuid,
    )
    assert (payload.docker_run_cmd, payload.env) == (["go"], {"A": "1"})
    assert (payload.output_upload, payload.artifacts_dir) == (JOB.output_upload, "/artifacts")
    assert offer.executor_timing.execution_time_limit == 5
    # The receipts that the protocol wants reward nobody and excuse nothing.
    assert not offer.job_started_receipt_payload.is_organic
    assert offer.job_started_receipt_payload.miner_hotkey == TRUSTED_MINER_HOTKEY
    assert finished.payload.score_str == "0.000000"


async def test_a_published_miner_may_be_the_trusted_one() -> None:
    miner = PublishedMiner()
    async with serving(miner):
        for _ in range(2):
            assert (await run_trusted_job(JOB, trusted(miner.port))).stdout == "hi\n"
    assert miner.complaints == []


async def test_without_a_trusted_miner_the_settings_are_named() -> None:
    with pytest.raises(TrustedMinerNotConfiguredError, match="VALIDATOR_TRUSTED_MINER_ADDRESS"):
        await run_trusted_job(JOB, TrustedMiner.configured(configured()))


async def test_the_trusted_miner_of_the_settings() -> None:
    config = configured(trusted_miner_address="10.0.0.1", trusted_miner_port=8000)
    found = TrustedMiner.configured(config)
    assert found
    assert found.address == Address(TRUSTED_MINER_HOTKEY, "10.0.0.1", 8000)


async def test_a_miner_that_is_away_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_connections, "LOGIN_SECONDS", 0.1)
    with pytest.raises(TrustedMinerUnreachableError, match=":1 cannot be reached"):
        await run_trusted_job(JOB, trusted(1))


async def test_a_busy_miner_is_asked_again_with_another_uuid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "BUSY_PAUSE_SECONDS", 0.01)
    miner = MinerPeer(declining(RejectionReason.BUSY, times=1))
    assert (await ran(miner, busy_seconds=5)).stdout == "hi\n"
    assert len({offer.job_uuid for offer in miner.all(JobOffered)}) == 2
    assert [type(one) for one in miner.received].count(FinishedReceiptIssued) <= 1


@pytest.mark.parametrize("reason", [RejectionReason.BUSY, RejectionReason.UNKNOWN])
async def test_a_miner_that_declines_is_not_asked_for_ever(reason: RejectionReason) -> None:
    miner = MinerPeer(declining(reason))
    with pytest.raises(TrustedMinerDeclinedError, match="no") as caught:
        await ran(miner, busy_seconds=0 if reason is RejectionReason.BUSY else 60)
    assert caught.value.reason is reason
    assert len(miner.all(JobOffered)) == 1


async def test_a_failed_job_has_its_exit_status_and_output() -> None:
    failed = failing(
        reason=FailureReason.NONZERO_RETURN_CODE,
        message="exit 3",
        docker_process_exit_status=3,
        docker_process_stdout="out",
        docker_process_stderr="err",
    )
    with pytest.raises(TrustedJobFailedError, match="exit 3") as caught:
        await ran(MinerPeer(failed))
    error = caught.value
    assert (error.exit_status, error.stdout, error.stderr) == (3, "out", "err")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (failing(reason=FailureReason.TIMEOUT, message="late"), TrustedJobTimedOutError),
        (lambda _, message: [lost(message.job_uuid)], TrustedJobFailedError),
        (paying(artifacts={"/artifacts/a": "?"}), TrustedJobFailedError),
        (offered_then(JobAccepted, VolumesReady), TrustedJobFailedError),
    ],
)
async def test_other_ends_have_names_too(script: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ran(MinerPeer(script))


async def test_a_miner_that_says_nothing_is_not_waited_for() -> None:
    miner = MinerPeer(offered_then())
    async with serving(miner):
        impatient = trusted(miner.port)
        timing = replace(impatient.timing, reservation=timedelta(seconds=0.05))
        with pytest.raises(TrustedJobTimedOutError, match="before the deadline"):
            await run_trusted_job(JOB, replace(impatient, timing=timing))


async def test_a_miner_that_stays_away_during_a_job_is_unreachable() -> None:
    class Leaving(MinerPeer):
        async def serve(self, socket: Any) -> None:
            if self.logins:
                return
            await super().serve(socket)

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            raise ConnectionError
        return obliging(miner, message)

    with pytest.raises(TrustedMinerUnreachableError, match="lost"):
        await ran(Leaving(script))


async def test_a_streaming_job_tells_when_it_serves() -> None:
    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobPayload):
            return obliging(miner, message)
        uuid = message.job_uuid
        serves = StreamingReady(job_uuid=uuid, public_key="cert", ip="10.0.0.9", port=7000)
        return [
            VolumesReady(job_uuid=uuid),
            serves,
            ExecutionDone(job_uuid=uuid),
            result(uuid),
        ]

    seen: list[StreamingReady] = []

    async def on_streaming(ready: StreamingReady) -> None:
        seen.append(ready)

    details = StreamingDetails(public_key="user")
    request = JOB.request().model_copy(update={"streaming_details": details})
    miner = MinerPeer(script)
    async with serving(miner):
        await run_trusted_job(request, trusted(miner.port), on_streaming=on_streaming)
    assert [(ready.ip, ready.port) for ready in seen] == [("10.0.0.9", 7000)]


async def test_a_run_that_is_cancelled_ends_the_job_at_the_miner_too() -> None:
    def script(miner: MinerPeer, message: Message) -> list[Message]:
        return [] if isinstance(message, JobPayload) else obliging(miner, message)

    miner = MinerPeer(script)
    async with serving(miner):
        running = asyncio.create_task(run_trusted_job(JOB, trusted(miner.port)))
        payload = await miner.receives(JobPayload)
        running.cancel()
        closed = await miner.receives(FinishedReceiptIssued)
        with pytest.raises(asyncio.CancelledError):
            await running
    assert closed.payload.job_uuid == payload.job_uuid


def test_a_decline_is_an_end_without_a_message() -> None:
    error = runs._error_of(JobDeclined(job_uuid=JOB.request().uuid))
    assert "it gave no message" in str(error)
