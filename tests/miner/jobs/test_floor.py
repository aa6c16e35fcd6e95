"""Facts survive: what a validator missed is told when it is back, also after our own restart."""

from django.db import OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import ExecutorReady, HordeFailed, JobFinished, VolumesReady
from compute_horde.vocabulary import JobState
from miner.jobs import ledger
from miner.jobs.models import Job
from tests.miner.conftest import MINER, VALIDATOR, accepted, record
from tests.miner.peers import ValidatorPeer


def finished(uuid):
    return JobFinished(job_uuid=uuid, docker_process_stdout="", docker_process_stderr="")


async def test_a_validator_that_comes_back_hears_all_again_and_then_what_follows(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        await validator.close()
        await executor.say(VolumesReady(job_uuid=uuid))
        back = await it.validator()
        assert await back.hear_all(3) == ["JobAccepted", "ExecutorReady", "VolumesReady"]
        await back.say(back.payload(uuid))
        assert await executor.hear()
        await executor.say({"message_type": "V0ExecutionDoneRequest", "job_uuid": uuid})
        assert await back.hear_all(1) == ["ExecutionDone"]


async def test_a_result_nobody_heard_is_told_until_the_finished_receipt(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        await validator.close()
        for fact in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
            await executor.say({"message_type": fact, "job_uuid": uuid})
        await executor.say(finished(uuid))
        await it.executor(1)
        for _ in range(2):
            back = await it.validator()
            assert (await back.hear_all(5))[-1] == "JobFinished"
            await back.close()
        back = await it.validator()
        await back.hear_all(5)
        await back.say(back.finished_receipt(uuid))
        assert await back.hears_nothing()
        await back.close()
        again = await it.validator()
        assert await again.hears_nothing()


async def test_a_validator_that_cannot_be_told_what_it_missed_is_sent_away(scene, monkeypatch):
    def lost(*_):
        raise OperationalError("away")

    async with scene() as it:
        monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
        monkeypatch.setattr(ledger, "pending", lost)
        validator = await it.validator()
        assert await validator.closed() == 1011


async def test_an_old_result_is_not_told_for_ever(scene):
    async with scene(resend_seconds=0) as it:
        executor, validator, uuid = await accepted(it)
        await executor.say({"message_type": "V0JobFailedRequest", "job_uuid": uuid})
        assert await validator.hear_all(1) == ["JobFailed"]
        back = await it.validator()
        assert await back.hears_nothing()


async def test_facts_go_to_the_socket_that_spoke_of_the_job_and_to_newer_ones(scene):
    async with scene() as it:
        older = await it.validator()
        executor, validator, uuid = await accepted(it)
        newer = await it.validator()
        await newer.hear_all(2)
        await executor.say(VolumesReady(job_uuid=uuid))
        assert await validator.hear_all(1) == ["VolumesReady"]
        assert await newer.hear_all(1) == ["VolumesReady"]
        assert await older.hears_nothing()


async def test_jobs_of_an_earlier_life_end_and_their_validator_is_told(scene):
    async with scene() as first:
        _, _, uuid = await accepted(first)
        await first.miner.floor.written(VALIDATOR.ss58_address)
        async with scene() as second:
            assert (await record(uuid)).state == JobState.HORDE_FAILED
            validator = ValidatorPeer(second.app, VALIDATOR, MINER.ss58_address)
            await validator.open()
            assert isinstance(await validator.log_in(), Manifest)
            assert await validator.hear_all(2) == ["JobAccepted", "ExecutorReady"]
            ending = await validator.hear()
            assert isinstance(ending, HordeFailed)
            assert ending.message == "The miner restarted while the job was executor_ready"


async def test_a_miner_told_to_stop_ends_its_jobs_and_says_so(scene):
    async with scene() as it:
        _, validator, uuid = await accepted(it)
        await it.miner.drain()
        ending = await validator.hear()
        assert (type(ending), ending.message) == (HordeFailed, "The miner was shut down")
        await validator.say(validator.offer())
        assert (await validator.hear()).message == "this miner is shutting down"
        assert (await record(uuid)).state == JobState.HORDE_FAILED


async def test_a_miner_told_to_stop_lets_a_job_finish(scene):
    async with scene(shutdown_seconds=5) as it:
        executor, validator, uuid = await accepted(it)
        for fact in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
            await executor.say({"message_type": fact, "job_uuid": uuid})
        await executor.say(finished(uuid))
        await it.miner.drain()
        assert (await validator.hear_all(3))[-1] == "JobFinished"
        assert (await record(uuid)).state == JobState.COMPLETED


async def test_a_short_job_costs_five_statements(scene, statements, monkeypatch):
    for module in ("miner.jobs.floor", "miner.receipts.actions"):
        monkeypatch.setattr(f"{module}.LINGER_SECONDS", 10)
    async with scene() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        uuid = offer.job_uuid
        # What it asks after a login is no cost of the job.
        assert await validator.hears_nothing()
        with statements() as said:
            await validator.say(offer)
            await validator.say(validator.accepted_receipt(uuid))
            await executor.hear()
            await executor.say(ExecutorReady(job_uuid=uuid))
            for fact in ("V0VolumesReadyRequest", "V0ExecutionDoneRequest"):
                await executor.say({"message_type": fact, "job_uuid": uuid})
            await executor.say(finished(uuid))
            assert (await validator.hear_all(5))[-1] == "JobFinished"
            await validator.say(validator.finished_receipt(uuid))
            await validator.hears_nothing()
        assert await in_database(Job.objects.count) == 1
        of_jobs = [sql for sql in said if "miner_validator" not in sql]
        assert len(of_jobs) == 5, of_jobs
