"""A validator that reconnects gets the messages that it missed, also after a restart."""

from django.db import OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import ExecutorReady, HordeFailed, JobFinished, VolumesReady
from compute_horde.vocabulary import JobState
from miner.jobs import store
from miner.jobs.models import Job
from tests.miner.conftest import MINER, PARTIES, VALIDATOR, accepted, record
from tests.miner.peers import ValidatorPeer


def finished(uuid):
    return JobFinished(job_uuid=uuid, docker_process_stdout="", docker_process_stderr="")


async def test_a_validator_that_reconnects_gets_all_messages_again_and_then_new_ones(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        await validator.close()
        await executor.send(VolumesReady(job_uuid=uuid))
        back = await it.validator()
        assert await back.receive_names(3) == [
            "JobAccepted",
            "ExecutorReady",
            "VolumesReady",
        ]
        await back.send(back.payload(uuid))
        assert await executor.receive()
        await executor.send({"message_type": "V0ExecutionDoneRequest", "job_uuid": uuid})
        assert await back.receive_names(1) == ["ExecutionDone"]


async def test_a_result_is_sent_at_each_login_until_the_finished_receipt(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        await validator.close()
        for message_type in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
            await executor.send({"message_type": message_type, "job_uuid": uuid})
        await executor.send(finished(uuid))
        await it.executor(1)
        for _ in range(2):
            back = await it.validator()
            assert (await back.receive_names(5))[-1] == "JobFinished"
            await back.close()
        back = await it.validator()
        await back.receive_names(5)
        await back.send(back.finished_receipt(uuid))
        assert await back.receives_nothing()
        await back.close()
        again = await it.validator()
        assert await again.receives_nothing()


async def test_a_validator_whose_messages_cannot_be_read_is_disconnected(run_miner, monkeypatch):
    def lost(*_):
        raise OperationalError("away")

    async with run_miner() as it:
        monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
        monkeypatch.setattr(store, "unclosed", lost)
        validator = await it.validator()
        assert await validator.closed() == 1011


async def test_an_old_result_is_not_sent_again(run_miner):
    async with run_miner(resend_seconds=0) as it:
        executor, validator, uuid = await accepted(it)
        await executor.send({"message_type": "V0JobFailedRequest", "job_uuid": uuid})
        assert await validator.receive_names(1) == ["JobFailed"]
        back = await it.validator()
        assert await back.receives_nothing()


async def test_messages_go_to_the_socket_that_was_used_for_the_job_and_to_newer_ones(run_miner):
    async with run_miner() as it:
        older = await it.validator()
        # A login is answered with messages about active jobs; there is none yet.
        assert await older.receives_nothing()
        executor, validator, uuid = await accepted(it)
        newer = await it.validator()
        await newer.receive_names(2)
        await executor.send(VolumesReady(job_uuid=uuid))
        assert await validator.receive_names(1) == ["VolumesReady"]
        assert await newer.receive_names(1) == ["VolumesReady"]
        assert await older.receives_nothing()


async def test_jobs_of_an_earlier_process_end_and_that_is_reported(run_miner):
    async with run_miner() as first:
        _, _, uuid = await accepted(first)
        await first.miner.active_jobs.flush(PARTIES)
        async with run_miner() as second:
            assert (await record(uuid)).state == JobState.HORDE_FAILED
            validator = ValidatorPeer(second.app, VALIDATOR, MINER.ss58_address)
            await validator.open()
            assert isinstance(await validator.log_in(), Manifest)
            assert await validator.receive_names(2) == ["JobAccepted", "ExecutorReady"]
            ending = await validator.receive()
            assert isinstance(ending, HordeFailed)
            assert ending.message == "The miner restarted while the job was executor_ready"


async def test_a_miner_that_is_stopped_ends_its_jobs_and_reports_that(run_miner):
    async with run_miner() as it:
        _, validator, uuid = await accepted(it)
        await it.miner.drain()
        ending = await validator.receive()
        assert (type(ending), ending.message) == (HordeFailed, "The miner was shut down")
        await validator.send(validator.offer())
        assert (await validator.receive()).message == "this miner is shutting down"
        assert (await record(uuid)).state == JobState.HORDE_FAILED


async def test_a_miner_that_is_stopped_lets_a_job_finish(run_miner):
    async with run_miner(shutdown_seconds=5) as it:
        executor, validator, uuid = await accepted(it)
        for message_type in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
            await executor.send({"message_type": message_type, "job_uuid": uuid})
        await executor.send(finished(uuid))
        await it.miner.drain()
        assert (await validator.receive_names(3))[-1] == "JobFinished"
        assert (await record(uuid)).state == JobState.COMPLETED


async def test_a_short_job_costs_three_statements(run_miner, statements, monkeypatch):
    for module in ("miner.jobs.active_jobs", "miner.receipts.store"):
        monkeypatch.setattr(f"{module}.LINGER_SECONDS", 10)
    async with run_miner() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        uuid = offer.job_uuid
        # The queries after a login are not counted for the job.
        assert await validator.receives_nothing()
        with statements() as executed:
            await validator.send(offer)
            await validator.send(validator.accepted_receipt(uuid))
            await executor.receive()
            await executor.send(ExecutorReady(job_uuid=uuid))
            for message_type in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
                await executor.send({"message_type": message_type, "job_uuid": uuid})
            await executor.send(finished(uuid))
            assert (await validator.receive_names(5))[-1] == "JobFinished"
            await validator.send(validator.finished_receipt(uuid))
            await validator.receives_nothing()
        assert await in_database(Job.objects.count) == 1
        # That a validator signs its requests is stored once, and not counted for a job either.
        others = ("miner_validator", "miner_signingvalidator")
        of_jobs = [sql for sql in executed if not any(table in sql for table in others)]
        assert len(of_jobs) == 3, of_jobs
