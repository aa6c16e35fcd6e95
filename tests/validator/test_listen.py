"""Jobs through the listener, between a scripted facilitator and scripted miners."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from bittensor_core import Keypair
from django.db.backends.signals import connection_created

from compute_horde import hardware
from compute_horde.django.database import in_database
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY, Heartbeat, Response
from compute_horde.protocol.job import (
    CheatReported,
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobDeclined,
    JobFailed,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.receipts import counter_sign
from compute_horde.signing import sign_request, validator_signed_text, verify_hex
from compute_horde.vocabulary import (
    FailureReason,
    HordeReason,
    JobState,
    Party,
    RejectionReason,
    SignatureScope,
    Stage,
)
from tests.validator.conftest import Scene, listening, remember
from tests.validator.peers import (
    STRANGER,
    USER,
    VALIDATOR,
    FacilitatorPeer,
    MinerPeer,
    obliging,
    request,
    result,
    serving,
)
from validator.jobs import actions
from validator.jobs import facilitator as facilitator_module
from validator.jobs.models import Job
from validator.network.models import Manifest
from validator.receipts.models import IssuedReceipt

OTHER_MINER = Keypair.create_from_uri("//Eve")
ALL_STATES = [
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


async def row_of(uuid: str) -> Job:
    return await in_database(Job.objects.get, pk=uuid)


async def all_told(uuid: str) -> None:
    """The facilitator's last acknowledgement is remembered a moment after it came."""
    async with asyncio.timeout(5):
        while not (await row_of(uuid)).told:
            await asyncio.sleep(0.02)


async def receipts_of(uuid: str) -> list[str]:
    rows = IssuedReceipt.objects.filter(job_uuid=uuid).order_by("id")
    return await in_database(lambda: [row.receipt_type for row in rows])


def offered_then(*replies: type[Message] | Message):
    """A miner that answers an offer so and says nothing else."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        uuid = message.job_uuid
        return [one(job_uuid=uuid) if isinstance(one, type) else one for one in replies]

    return script


def declining(reason: RejectionReason, times: int = 10**6):
    """A miner that declines the first jobs it is offered."""
    left = [times]

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered) and left[0]:
            left[0] -= 1
            return [JobDeclined(job_uuid=message.job_uuid, reason=reason, message="no")]
        return obliging(miner, message)

    return script


async def test_a_job_goes_from_the_facilitator_to_the_miner_and_its_result_back(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.metadata.miner_response.docker_process_stdout == "hi\n"
        assert facilitator.states(job.uuid) == ALL_STATES
        offered = await miner.hears(JobOffered)
        assert offered.docker_image == job.docker_image
        assert offered.executor_timing.execution_time_limit == 10
        payload = await miner.hears(JobPayload)
        assert (payload.docker_run_cmd, payload.volume) == (job.args, None)
        accepted = await miner.hears(AcceptedReceiptIssued)
        assert accepted.payload.ttl == 3 + 5 + 5 + 5 + 10 + 5
        finished = await miner.hears(FinishedReceiptIssued)
        assert finished.payload.score_str == "20.000000"
        await all_told(job.uuid)
    row = await row_of(job.uuid)
    assert (row.state, row.miner, row.kind) == ("completed", miner.hotkey, "organic")
    assert await receipts_of(job.uuid) == [
        "JobStartedReceipt",
        "JobAcceptedReceipt",
        "JobFinishedReceipt",
    ]


async def test_everything_said_to_the_miner_is_signed_as_published_miners_check_it(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        finished = await miner.hears(FinishedReceiptIssued)
        for kind in (JobOffered, JobPayload):
            said = await miner.hears(kind)
            text = validator_signed_text(said.model_dump(mode="json"))
            verify_hex(VALIDATOR.ss58_address, text, said.validator_signature)
        offered, accepted = await miner.hears(JobOffered), await miner.hears(AcceptedReceiptIssued)
        started = offered.job_started_receipt_payload
        for payload, signature in (
            (started, offered.job_started_receipt_signature),
            (accepted.payload, accepted.signature),
            (finished.payload, finished.signature),
        ):
            counter_sign(payload, signature, miner.keypair).verify()
        assert (started.is_organic, started.ttl) == (True, 5)


async def test_a_job_costs_at_most_five_statements(scene: Scene) -> None:
    miner, jobs = MinerPeer(), [request() for _ in range(3)]
    statements: list[str] = []

    def count(execute, sql, *args):
        statements.append(sql)
        return execute(sql, *args)

    def watch(connection, **_):
        connection.execute_wrappers.append(count)

    connection_created.connect(watch)
    try:
        async with scene(miner) as facilitator:
            await facilitator.say(jobs[0])
            await all_told_by(facilitator, jobs[0].uuid)
            statements.clear()
            for job in jobs[1:]:
                await facilitator.say(job)
                await all_told_by(facilitator, job.uuid)
    finally:
        connection_created.disconnect(watch)
    assert len(statements) <= 5 * 2, statements


async def all_told_by(facilitator: FacilitatorPeer, uuid: str) -> None:
    await facilitator.hears_end(uuid)
    await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        ([], HordeReason.INITIAL_RESPONSE_TIMED_OUT),
        ([JobAccepted], HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT),
        ([JobAccepted, ExecutorReady], HordeReason.VOLUMES_TIMED_OUT),
        ([JobAccepted, ExecutorReady, VolumesReady], HordeReason.EXECUTION_TIMED_OUT),
    ],
)
async def test_a_silent_miner_ends_the_job_and_is_paid_nothing(
    scene: Scene, heard: list, reason: HordeReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = hardware.Promise("T", timedelta(milliseconds=50))
    monkeypatch.setitem(hardware.PROMISES, hardware.ExecutorClass.always_on__test, quick)
    miner = MinerPeer(offered_then(*heard))
    limits = {
        "download_time_limit": 0,
        "execution_time_limit": 0,
        "upload_time_limit": 0,
    }
    job = request(**limits)
    brisk = {"reservation_seconds": 1, "startup_seconds": 0, "leeway_seconds": 0}
    async with scene(miner, **brisk) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.status is JobState.HORDE_FAILED
        details = end.metadata.horde_failure_details
        assert (details.reason, details.reported_by) == (reason, Party.VALIDATOR)
        finished = await miner.hears(FinishedReceiptIssued)
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
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.status is JobState.FAILED
        assert end.metadata.job_failure_details.docker_process_exit_status == 3
        finished = await miner.hears(FinishedReceiptIssued)
        assert finished.payload.score_str == "0.000000"


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (request(signer=None), "Signature is empty"),
        (
            request(signer=STRANGER),
            f"Signatory {STRANGER.ss58_address} is not in validator whitelist",
        ),
        (request().model_copy(update={"docker_image": "evil"}), "Bad signature"),
        (
            request(timestamp_ns=1),
            "The signature is too old, or its clock is ahead of ours",
        ),
    ],
)
async def test_a_request_not_rightly_signed_is_rejected_in_published_words(
    scene: Scene, job, text: str
) -> None:
    miner = MinerPeer()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert end.status is JobState.REJECTED
        assert (details.reason, details.rejected_by, details.message) == (
            RejectionReason.INVALID_SIGNATURE,
            Party.VALIDATOR,
            text,
        )
        good = request()
        await facilitator.say(good)
        assert (await facilitator.hears_end(good.uuid)).status is JobState.COMPLETED
    assert [one.job_uuid for one in miner.all(JobOffered)] == [good.uuid]


async def test_a_signature_replayed_under_another_uuid_is_rejected(scene: Scene) -> None:
    miner, job = MinerPeer(), request()
    replay = job.model_copy(update={"uuid": str(uuid4())})
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        await facilitator.say(replay)
        end = await facilitator.hears_end(replay.uuid)
        assert end.status is JobState.REJECTED
        assert "replayed" in end.metadata.job_rejection_details.message
    assert len(miner.all(JobOffered)) == 1


@pytest.mark.parametrize("when", ["running", "over"])
async def test_a_job_sent_again_is_reported_again_and_not_run_again(
    scene: Scene, when: str
) -> None:
    script = offered_then(JobAccepted) if when == "running" else obliging
    miner, job = MinerPeer(script), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        last = "accepted" if when == "running" else "completed"
        told = await facilitator.until(
            lambda: facilitator.states(job.uuid)[-1:] == [last] and facilitator.states(job.uuid)
        )
        await facilitator.say(job)
        await facilitator.until(lambda: facilitator.states(job.uuid) == told + told)
    assert len(miner.all(JobOffered)) == 1


async def test_jobs_are_spread_over_miners_and_wait_when_all_are_busy(scene: Scene) -> None:
    held: dict[str, MinerPeer] = {}

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            held[message.job_uuid] = miner
            return []
        return obliging(miner, message)

    miners = [
        MinerPeer(script, {"always_on.test": 2}),
        MinerPeer(script, {"always_on.test": 1}, OTHER_MINER),
    ]
    jobs = [request() for _ in range(5)]
    async with scene(*miners) as facilitator:
        await facilitator.say(*jobs)
        for miner, seats in zip(miners, (2, 1), strict=True):
            await miner.hears(JobPayload, seats)
        await asyncio.sleep(0.1)
        assert [len(miner.all(JobOffered)) for miner in miners] == [2, 1]
        for _ in jobs:
            async with asyncio.timeout(5):
                while not held:
                    await asyncio.sleep(0.01)
            uuid, miner = held.popitem()
            road = [VolumesReady(job_uuid=uuid), *_rest(uuid)]
            await miner.say(*road)
            await facilitator.hears_end(uuid)
        assert {(await row_of(job.uuid)).state for job in jobs} == {"completed"}
    assert sum(len(miner.all(JobOffered)) for miner in miners) == 5


def _rest(uuid: str) -> list[Message]:
    return [ExecutionDone(job_uuid=uuid), result(uuid)]


async def test_a_job_that_waits_too_long_is_rejected(scene: Scene) -> None:
    miner = MinerPeer(offered_then(JobAccepted), {"always_on.test": 1})
    first, second = request(), request()
    async with scene(miner, queue_seconds=0.3) as facilitator:
        await facilitator.say(first)
        await miner.hears(JobOffered)
        await facilitator.say(second)
        end = await facilitator.hears_end(second.uuid)
        details = end.metadata.job_rejection_details
        assert (details.reason, details.rejected_by) == (
            RejectionReason.NO_MINER_FOR_JOB,
            Party.VALIDATOR,
        )


async def test_a_busy_miner_is_asked_again_and_not_in_a_hot_loop(scene: Scene) -> None:
    miner, job = MinerPeer(declining(RejectionReason.BUSY, 2)), request()
    async with scene(miner) as facilitator:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
        assert loop.time() - began > 0.7
    assert len(miner.all(JobOffered)) == 3


async def test_a_miner_that_declines_makes_way_for_another(scene: Scene) -> None:
    unwilling = MinerPeer(declining(RejectionReason.VALIDATOR_BLACKLISTED), {"always_on.test": 9})
    willing = MinerPeer(obliging, {"always_on.test": 1}, OTHER_MINER)
    jobs = [request() for _ in range(4)]
    async with scene(unwilling, willing) as facilitator:
        for job in jobs:
            await facilitator.say(job)
            assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
            assert (await row_of(job.uuid)).miner == willing.hotkey
    assert unwilling.all(JobOffered)


async def test_when_all_miners_decline_the_user_is_told_why(scene: Scene) -> None:
    miner, job = MinerPeer(declining(RejectionReason.INVALID_SIGNATURE)), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert (details.reason, details.rejected_by, details.message) == (
            RejectionReason.INVALID_SIGNATURE,
            Party.MINER,
            "no",
        )
    assert len(miner.all(JobOffered)) == 1


async def test_a_class_that_nobody_offers_is_rejected(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.2) as facilitator:
        job = request(executor_class="always_on.llm.a6000")
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.metadata.job_rejection_details.reason is RejectionReason.NO_MINER_FOR_JOB


async def test_a_job_whose_only_miner_is_out_of_reach_fails_by_the_networks_fault(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner, queue_seconds=0.5) as facilitator:
        await miner.stop()
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED


async def test_a_miner_that_comes_back_repeats_its_facts_and_the_job_ends_well(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(offered_then(JobAccepted, ExecutorReady)), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        await miner.hears(JobPayload)
        uuid = job.uuid
        miner.repeats = [
            JobAccepted(job_uuid=uuid),
            ExecutorReady(job_uuid=uuid),
            VolumesReady(job_uuid=uuid),
            *_rest(uuid),
        ]
        await miner.connections[0].close()
        assert (await facilitator.hears_end(uuid)).status is JobState.COMPLETED
        assert facilitator.states(uuid) == ALL_STATES
        await miner.hears(FinishedReceiptIssued)
    receipts = miner.all(AcceptedReceiptIssued)
    assert {one.payload for one in receipts} == {receipts[0].payload}


async def test_a_miner_that_stays_away_ends_its_jobs(scene: Scene) -> None:
    miner, job = MinerPeer(offered_then(JobAccepted)), request()
    async with scene(miner, miner_absence_seconds=0.4) as facilitator:
        await facilitator.say(job)
        await facilitator.until(lambda: "accepted" in facilitator.states(job.uuid))
        await miner.stop()
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED
        assert miner.hotkey in details.message


async def test_a_miner_that_missed_the_end_is_reminded(scene: Scene) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        first = await miner.hears(FinishedReceiptIssued)
        await miner.say(result(job.uuid))
        assert await miner.hears(FinishedReceiptIssued, 2) == first
        await miner.say(result(str(uuid4())))
        await miner.say(result(job.uuid))
        assert await miner.hears(FinishedReceiptIssued, 3) == first


async def test_the_validators_own_signature_is_good_without_any_list(scene: Scene) -> None:
    job = request(signer=VALIDATOR)
    async with scene(MinerPeer(), allowed_signers=[]) as facilitator:
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED


async def test_a_signer_allowed_in_the_database_is_served_at_once(scene: Scene) -> None:
    first, second = request(signer=STRANGER), request(signer=STRANGER)
    async with scene(MinerPeer()) as facilitator:
        await facilitator.say(first)
        assert (await facilitator.hears_end(first.uuid)).status is JobState.REJECTED
        await in_database(actions.allow, [STRANGER.ss58_address], "a test")
        await facilitator.say(second)
        assert (await facilitator.hears_end(second.uuid)).status is JobState.COMPLETED


async def test_an_operators_job_is_conducted_and_earns_nothing(scene: Scene) -> None:
    miners = [MinerPeer(), MinerPeer(keypair=OTHER_MINER)]
    async with scene(*miners) as facilitator:
        job = await in_database(actions.order, request(signer=None), miner=OTHER_MINER.ss58_address)
        finished = await miners[1].hears(FinishedReceiptIssued)
        assert finished.payload.score_str == "0.000000"
        row = await row_of(job.uuid)
        assert (row.kind, row.state, row.miner) == ("admin", "completed", miners[1].hotkey)
    assert facilitator.all(StatusReported) == []
    assert miners[0].all(JobOffered) == []


async def test_a_job_for_the_trusted_miner_goes_there_and_earns_nothing(scene: Scene) -> None:
    trusted, other = MinerPeer(), MinerPeer(keypair=OTHER_MINER)
    async with serving(trusted):
        address = {
            "trusted_miner_address": "127.0.0.1",
            "trusted_miner_port": trusted.port,
        }
        async with scene(other, **address) as facilitator:
            await trusted.until(lambda: trusted.logins)
            job = request(on_trusted_miner=True)
            await facilitator.say(job)
            assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
            offered = await trusted.hears(JobOffered)
            assert offered.job_started_receipt_payload.miner_hotkey == TRUSTED_MINER_HOTKEY
            finished = await trusted.hears(FinishedReceiptIssued)
            assert finished.payload.score_str == "0.000000"
            plain = request()
            await facilitator.say(plain)
            await facilitator.hears_end(plain.uuid)
    assert [len(one.all(JobOffered)) for one in (trusted, other)] == [1, 1]


async def test_without_a_trusted_miner_such_a_job_is_rejected(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.1) as facilitator:
        job = request(on_trusted_miner=True)
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert "no trusted miner" in end.metadata.job_rejection_details.message


async def test_the_heartbeat_beats(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facilitator_module, "HEARTBEAT_SECONDS", 0.05)
    async with scene() as facilitator:
        await facilitator.hears(Heartbeat, 2)


async def test_statuses_that_were_not_acknowledged_are_sent_again_after_a_reconnect(
    scene: Scene,
) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        facilitator.answers = True
        await facilitator.connections[0].close()
        await facilitator.until(lambda: facilitator.states(job.uuid) == ALL_STATES * 2)
        await all_told(job.uuid)


async def test_a_status_the_facilitator_refuses_counts_as_acknowledged(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        facilitator.answers = False
        job = request()
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        refusal = Response.refusal("job.integrity_error", "twice")
        await facilitator.say(*[refusal] * len(ALL_STATES))
        await all_told(job.uuid)


async def test_a_refused_login_is_tried_again(scene: Scene) -> None:
    facilitator = FacilitatorPeer()
    facilitator.refusal = Response.refusal("auth.validator_not_found", "who?")
    async with serving(facilitator), listening(facilitator):
        await facilitator.until(lambda: True)
        await asyncio.sleep(0.1)
        facilitator.refusal = None
        await facilitator.until(lambda: facilitator.logins)


async def test_a_malformed_frame_is_skipped(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        for frame in ("{", '{"message_type": "V9"}', '{"message_type": "V2JobRequest"}', "PING"):
            await facilitator.connections[0].send(frame)
        job = request()
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED


async def test_a_restarted_listener_goes_on_with_its_jobs_and_tells_what_it_had_not(
    transactional_db: None,
) -> None:
    facilitator = FacilitatorPeer()
    miner = MinerPeer(offered_then(JobAccepted, ExecutorReady))
    running, waiting = request(), request()
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        miner.manifest = {"always_on.test": 1}
        async with listening(facilitator):
            await miner.until(lambda: miner.logins)
            await facilitator.say(running)
            await facilitator.until(lambda: "executor_ready" in facilitator.states(running.uuid))
            await facilitator.say(waiting)
            await facilitator.until(lambda: facilitator.states(waiting.uuid))
        assert (await row_of(running.uuid)).state == "executor_ready"
        miner.script = obliging
        miner.repeats = [VolumesReady(job_uuid=running.uuid), *_rest(running.uuid)]
        async with listening(facilitator):
            assert (await facilitator.hears_end(running.uuid)).status is JobState.COMPLETED
            assert (await facilitator.hears_end(waiting.uuid)).status is JobState.COMPLETED
            await all_told(running.uuid)
            await all_told(waiting.uuid)
    offers = [one.job_uuid for one in miner.all(JobOffered)]
    assert offers == [running.uuid, waiting.uuid]
    assert facilitator.states(running.uuid)[:3] == ALL_STATES[:3]
    assert await receipts_of(running.uuid) == [
        "JobStartedReceipt",
        "JobAcceptedReceipt",
        "JobFinishedReceipt",
    ]


async def test_a_restarted_listener_whose_miner_is_silent_ends_the_job(
    transactional_db: None,
) -> None:
    facilitator, miner, job = FacilitatorPeer(), MinerPeer(offered_then()), request()
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        async with listening(facilitator):
            await miner.until(lambda: miner.logins)
            await facilitator.say(job)
            await miner.hears(JobOffered)
        async with listening(facilitator, reservation_seconds=1):
            end = await facilitator.hears_end(job.uuid)
            assert end.status is JobState.HORDE_FAILED
    assert len(miner.all(JobOffered)) == 1


async def test_a_manifest_that_a_miner_says_is_remembered(scene: Scene) -> None:
    miner = MinerPeer(manifest={"always_on.test": 3, "always_on.gpu-24gb": 0})
    async with scene(miner):
        async with asyncio.timeout(5):
            while await in_database(Manifest.objects.count) < 2:
                await asyncio.sleep(0.01)
    rows = Manifest.objects.values_list("hotkey", "executor_class", "count")
    assert set(await in_database(lambda: list(rows))) == {
        (miner.hotkey, "always_on.test", 3),
        (miner.hotkey, "always_on.gpu-24gb", 0),
    }


async def test_a_cheat_report_by_the_jobs_owner_is_noted(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        job = request()
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        report = {"job_uuid": job.uuid, "trusted_job_uuid": str(uuid4()), "details": None}
        from compute_horde.signing import cheat_report_payloads

        for signer in (STRANGER, USER):
            signature = sign_request(
                signer,
                cheat_report_payloads(report)[0],
                timestamp_ns=1,
                scope=SignatureScope.FULL_REQUEST,
            )
            await facilitator.say(CheatReported(signature=signature, **report))
        async with asyncio.timeout(5):
            while not (await row_of(job.uuid)).cheat_reported_at:
                await asyncio.sleep(0.01)
