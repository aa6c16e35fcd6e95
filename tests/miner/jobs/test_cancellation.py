"""A validator cancels its own jobs by signed orders; the executor ends them, or else the miner."""

from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import HordeFailed, JobAccepted
from compute_horde.vocabulary import Extension, HordeReason, JobState, Party, Stage
from miner.jobs import cancellation
from tests.miner.conftest import MINER, STRANGER, VALIDATOR, record
from tests.miner.peers import ValidatorPeer


def order(uuid: str, signer=VALIDATOR) -> CancelOrdered:
    return CancelOrdered(job_uuid=uuid).signed(signer)


async def ready(it):
    """A job whose executor has the offer, and a validator that supports all extensions."""
    executor, validator = await it.executor(), await it.validator(VALIDATOR, *Extension)
    offer = validator.offer()
    await validator.send(offer)
    assert isinstance(await validator.receive(), JobAccepted)
    await executor.receive()
    return executor, validator, offer.job_uuid


async def test_the_executor_ends_the_job_and_the_row_keeps_what_it_printed(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await ready(it)
        ordered = order(uuid)
        await validator.send(ordered)
        await validator.send(ordered)
        assert await executor.receive() == ordered
        ended = JobCancelled(
            job_uuid=uuid,
            reported_by=Party.EXECUTOR,
            message="The job was cancelled",
            docker_process_stdout="so far\0",
            docker_process_stderr="oops",
        )
        assert await executor.receives_nothing()
        await executor.send(ended)
        assert await validator.receive() == ended
        job = await record(uuid)
        assert (job.state, job.stdout, job.stderr) == (JobState.CANCELLED, "so far\ufffd", "oops")
        assert (job.error_type, job.error_detail) == ("cancelled", "The job was cancelled")
        await it.executor(1)


async def test_an_executor_that_does_not_answer_is_killed(run_miner, monkeypatch):
    monkeypatch.setattr(cancellation, "EXECUTOR_SECONDS", 0.1)
    async with run_miner() as it:
        _, validator, uuid = await ready(it)
        await validator.send(order(uuid))
        assert await validator.receive() == JobCancelled(
            job_uuid=uuid,
            reported_by=Party.MINER,
            message="The job was cancelled",
            stage=Stage.EXECUTOR_STARTUP,
        )
        await it.manager.has_killed(it.manager.tokens[0])
        assert (await record(uuid)).state == JobState.CANCELLED


async def test_a_job_whose_executor_is_still_starting_is_ended_at_once(run_miner):
    async with run_miner() as it:
        await it.manager.has_started(0)
        validator = await it.validator(VALIDATOR, *Extension)
        offer = validator.offer()
        await validator.send(offer)
        await validator.send(order(offer.job_uuid))
        assert isinstance(await validator.receive(), JobAccepted)
        ending = await validator.receive()
        assert (type(ending), ending.reported_by) == (JobCancelled, Party.MINER)
        await it.manager.has_killed(it.manager.tokens[0])
        await it.executor(1)


async def test_an_order_with_a_missing_or_wrong_signature_is_refused(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await ready(it)
        for wrong in (CancelOrdered(job_uuid=uuid), order(uuid, STRANGER)):
            await validator.send(wrong)
            error = await validator.receive()
            assert isinstance(error, GenericError)
            assert "CancelJobRequest refused" in error.details
        assert await executor.receives_nothing()


async def test_a_validator_cannot_end_the_job_of_another(run_miner):
    async with run_miner(validators=(VALIDATOR.ss58_address, STRANGER.ss58_address)) as it:
        executor, _, uuid = await ready(it)
        other = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        await other.open()
        await other.log_in(*Extension)
        await other.send(order(uuid, STRANGER))
        assert "unknown job_uuid" in (await other.receive()).details
        assert await executor.receives_nothing()


async def test_cancelling_an_ended_job_repeats_how_it_ended(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await ready(it)
        await executor.close(1006)
        ending = await validator.receive()
        assert isinstance(ending, HordeFailed)
        await validator.send(order(uuid))
        assert await validator.receive() == JobAccepted(job_uuid=uuid)
        assert await validator.receive() == ending


async def test_an_executor_cannot_cancel_by_itself(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await ready(it)
        await executor.send(JobCancelled(job_uuid=uuid, reported_by=Party.EXECUTOR))
        ending = await validator.receive()
        assert (type(ending), ending.reason) == (HordeFailed, HordeReason.GENERIC_ERROR)
        assert "nobody asked" in ending.message
