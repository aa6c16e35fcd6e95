"""Jobs through the whole listener, between a scripted facilitator and scripted miners."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.backends.signals import connection_created
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from compute_horde.protocol.job import (
    CheatReported,
    ExecutorReady,
    JobAccepted,
    JobOffered,
    JobPayload,
    JobRequested,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.signing import sign_request
from compute_horde.vocabulary import (
    HordeReason,
    JobState,
    SignatureScope,
)
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import OTHER_MINER, STRANGER, USER
from tests.peers.miner import MinerPeer, obliging, offered_then, rest, result
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import Scene, listening, remember
from tests.validator.rows import ALL_STATES, receipts_of, row_of, wait_acknowledged
from tests.validator.trusted_miner.ended_jobs import report
from validator.jobs import actions
from validator.jobs.models import Job
from validator.network.manifest_store import CHANNEL as NETWORK
from validator.network.models import Manifest, Neuron
from validator.trusted_miner.findings import record_difference
from validator.trusted_miner.models import CheatFinding


async def test_a_job_goes_from_the_facilitator_to_the_miner_and_its_result_back(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        assert end.metadata.miner_response.docker_process_stdout == "hi\n"
        assert facilitator.states(job.uuid) == ALL_STATES
        offered = await miner.receives(JobOffered)
        assert offered.docker_image == job.docker_image
        assert offered.executor_timing.execution_time_limit == 10
        payload = await miner.receives(JobPayload)
        assert (payload.docker_run_cmd, payload.volume) == (job.args, None)
        accepted = await miner.receives(AcceptedReceiptIssued)
        assert accepted.payload.ttl == 3 + 5 + 5 + 5 + 10 + 5
        finished = await miner.receives(FinishedReceiptIssued)
        assert finished.payload.score_str == "20.000000"
        await wait_acknowledged(job.uuid)
    row = await row_of(job.uuid)
    assert (row.state, row.miner, row.kind) == ("completed", miner.hotkey, "organic")
    assert await receipts_of(job.uuid) == [
        "JobStartedReceipt",
        "JobAcceptedReceipt",
        "JobFinishedReceipt",
    ]


async def test_a_job_costs_at_most_five_statements(scene: Scene) -> None:
    miner, jobs = MinerPeer(), [request() for _ in range(3)]
    statements: list[str] = []

    def count(execute, sql, *args):
        statements.append(sql)
        return execute(sql, *args)

    def watch(connection, **_):
        connection.execute_wrappers.append(count)

    async def acknowledged(job: JobRequested, before: int = 0) -> None:
        """Wait for the last statement about this job, with so many others before it."""
        await facilitator.receives_end(job.uuid)
        await eventually(lambda: sum('SET "told"' in one for one in statements) > before)

    connection_created.connect(watch)
    try:
        async with scene(miner) as facilitator:
            await facilitator.send(jobs[0])
            await acknowledged(jobs[0])
            statements.clear()
            for number, job in enumerate(jobs[1:]):
                await facilitator.send(job)
                await acknowledged(job, number)
    finally:
        connection_created.disconnect(watch)
    assert len(statements) <= 5 * 2, statements


async def test_an_operators_job_is_conducted_and_earns_nothing(scene: Scene) -> None:
    miners = [MinerPeer(), MinerPeer(keypair=OTHER_MINER)]
    async with scene(*miners) as facilitator:
        job = await in_database(
            actions.create_admin_job, request(signer=None), miner=OTHER_MINER.ss58_address
        )
        finished = await miners[1].receives(FinishedReceiptIssued)
        assert finished.payload.score_str == "0.000000"
        row = await row_of(job.uuid)
        assert (row.kind, row.state, row.miner) == ("admin", "completed", miners[1].hotkey)
    assert facilitator.all(StatusReported) == []
    assert miners[0].all(JobOffered) == []


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
            await facilitator.send(running)
            await facilitator.until(lambda: "executor_ready" in facilitator.states(running.uuid))
            await facilitator.send(waiting)
            await facilitator.until(lambda: facilitator.states(waiting.uuid))
        assert (await row_of(running.uuid)).state == "executor_ready"
        miner.script = obliging
        miner.repeats = [VolumesReady(job_uuid=running.uuid), *rest(running.uuid)]
        async with listening(facilitator):
            assert (await facilitator.receives_end(running.uuid)).status is JobState.COMPLETED
            assert (await facilitator.receives_end(waiting.uuid)).status is JobState.COMPLETED
            await wait_acknowledged(running.uuid)
            await wait_acknowledged(waiting.uuid)
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
            await facilitator.send(job)
            await miner.receives(JobOffered)
        async with listening(facilitator, reservation_seconds=1):
            end = await facilitator.receives_end(job.uuid)
            assert end.status is JobState.HORDE_FAILED
    assert len(miner.all(JobOffered)) == 1


async def test_a_restarted_listener_gives_a_running_job_to_no_other_miner(
    transactional_db: None,
) -> None:
    facilitator, job = FacilitatorPeer(), request()
    miner = MinerPeer(offered_then(JobAccepted, ExecutorReady))
    other = MinerPeer(obliging, keypair=OTHER_MINER)
    async with serving(facilitator, miner, other):
        await in_database(remember, miner)
        async with listening(facilitator):
            await miner.until(lambda: miner.logins)
            await facilitator.send(job)
            await facilitator.until(lambda: "executor_ready" in facilitator.states(job.uuid))
        await in_database(Neuron.objects.filter(hotkey=miner.hotkey).update, port=0)
        await in_database(remember, other)
        async with listening(facilitator, miner_absence_seconds=1):
            end = await facilitator.receives_end(job.uuid)
    assert end.status is JobState.HORDE_FAILED
    details = end.metadata.horde_failure_details
    assert details.reason is HordeReason.MINER_CONNECTION_FAILED
    assert miner.hotkey in details.message
    assert other.all(JobOffered) == []


async def test_a_manifest_that_a_miner_says_is_remembered(scene: Scene) -> None:
    miner = MinerPeer(manifest={"always_on.test": 3, "always_on.gpu-24gb": 0})
    async with scene(miner):
        await eventually(lambda: in_database(lambda: Manifest.objects.count() >= 2))
    rows = Manifest.objects.values_list("hotkey", "executor_class", "count")
    assert set(await in_database(lambda: list(rows))) == {
        (miner.hotkey, "always_on.test", 3),
        (miner.hotkey, "always_on.gpu-24gb", 0),
    }


async def test_what_a_miner_says_is_not_undone_by_what_was_stored_before(scene: Scene) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner, queue_seconds=0.3) as facilitator:
        await eventually(lambda: in_database(Manifest.objects.count))
        yesterday = timezone.now() - timedelta(days=1)
        await in_database(Manifest.objects.update, count=0, heard_at=yesterday)
        await in_database(notify, NETWORK)
        await asyncio.sleep(0.3)
        await facilitator.send(job)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED


async def test_a_manifest_polled_later_replaces_what_the_miner_said(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.3) as facilitator:

        async def is_rejected() -> bool:
            job = request()
            await facilitator.send(job)
            return (await facilitator.receives_end(job.uuid)).status is JobState.REJECTED

        await eventually(lambda: in_database(Manifest.objects.count))
        later = timezone.now() + timedelta(seconds=1)
        await in_database(Manifest.objects.update, count=0, heard_at=later)
        await in_database(notify, NETWORK)
        await eventually(is_rejected)


def reported_at(uuid: str) -> datetime | None:
    return Job.objects.get(pk=uuid).cheat_reported_at


async def test_a_cheat_report_by_the_jobs_owner_is_noted(scene: Scene) -> None:
    async with scene(MinerPeer()) as facilitator:
        job = request()
        await facilitator.send(job)
        await facilitator.receives_end(job.uuid)
        report = {"job_uuid": job.uuid, "trusted_job_uuid": str(uuid4()), "details": None}
        from compute_horde.signing import cheat_report_payloads

        for signer in (STRANGER, USER):
            signature = sign_request(
                signer,
                cheat_report_payloads(report)[0],
                timestamp_ns=1,
                scope=SignatureScope.FULL_REQUEST,
            )
            await facilitator.send(CheatReported(signature=signature, **report))

        # The stranger's report came first and is not recorded.
        recorded = await eventually(lambda: in_database(reported_at, job.uuid))
        assert recorded > (await row_of(job.uuid)).created_at


async def test_a_miner_whose_result_the_trusted_miner_disproves_gets_no_further_jobs(
    scene: Scene,
) -> None:
    """From the report to the routing, with the trusted miner as a peer of its own."""
    trusted = MinerPeer(lambda miner, message: answered(message, "right"))
    liar = MinerPeer(lambda miner, message: answered(message, "wrong"))
    options: dict[str, Any] = {"trusted_miner_address": "127.0.0.1", "queue_seconds": 2.0}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(trusted))
        scripted = scene(liar, **options, trusted_miner_port=trusted.port)
        facilitator = await stack.enter_async_context(scripted)
        await trusted.until(lambda: trusted.logins)
        job, proof = request(), request(on_trusted_miner=True)
        for one in (job, proof):
            await facilitator.send(one)
            assert (await facilitator.receives_end(one.uuid)).status is JobState.COMPLETED
        assert [offer.job_uuid for offer in trusted.all(JobOffered)] == [proof.uuid]
        reported = await row_of(job.uuid)
        await facilitator.send(report(reported, proof.uuid))
        await eventually(lambda: in_database(CheatFinding.objects.exists))
        assert (await in_database(CheatFinding.objects.get)).verdict == "unproved"
        # As cross-validation does when the miner is the only one with this result.
        again = result(proof.uuid, "right")
        await in_database(record_difference, reported, again, [], [reported.request.docker_image])

        async def is_rejected() -> bool:
            another = request()
            await facilitator.send(another)
            return (await facilitator.receives_end(another.uuid)).status is JobState.REJECTED

        await eventually(is_rejected)
        finding = await in_database(CheatFinding.objects.get)
        assert (str(finding.pk), finding.verdict) == (job.uuid, "proved")
        assert finding.miner == liar.hotkey


def answered(message: Message, stdout: str) -> list[Message]:
    """A miner's messages about a job whose output is this."""
    usual = obliging(MinerPeer(), message)
    if isinstance(message, JobPayload):
        usual[-1] = result(message.job_uuid, stdout)
    return usual
