"""A validator ends its own jobs, signed; the executor does it, or else the miner."""

from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import HordeFailed, JobAccepted
from compute_horde.vocabulary import Extension, HordeReason, JobState, Party, Stage
from miner.jobs import cancel
from tests.miner.conftest import MINER, STRANGER, VALIDATOR, record
from tests.miner.peers import ValidatorPeer


def order(uuid: str, signer=VALIDATOR) -> CancelOrdered:
    return CancelOrdered(job_uuid=uuid).signed(signer)


async def ready(it):
    """A job whose executor has heard of it, and a validator that understands all of ours."""
    executor, validator = await it.executor(), await it.validator(VALIDATOR, *Extension)
    offer = validator.offer()
    await validator.say(offer)
    assert isinstance(await validator.hear(), JobAccepted)
    await executor.hear()
    return executor, validator, offer.job_uuid


async def test_the_executor_ends_the_job_and_the_row_keeps_what_it_printed(scene):
    async with scene() as it:
        executor, validator, uuid = await ready(it)
        ordered = order(uuid)
        await validator.say(ordered)
        await validator.say(ordered)
        assert await executor.hear() == ordered
        ended = JobCancelled(
            job_uuid=uuid,
            reported_by=Party.EXECUTOR,
            message="The job was cancelled",
            docker_process_stdout="so far\0",
            docker_process_stderr="oops",
        )
        assert await executor.hears_nothing()
        await executor.say(ended)
        assert await validator.hear() == ended
        job = await record(uuid)
        assert (job.state, job.stdout, job.stderr) == (JobState.CANCELLED, "so far", "oops")
        assert (job.error_type, job.error_detail) == ("cancelled", "The job was cancelled")
        await it.executor(1)


async def test_an_executor_that_does_not_answer_is_killed(scene, monkeypatch):
    monkeypatch.setattr(cancel, "EXECUTOR_SECONDS", 0.1)
    async with scene() as it:
        _, validator, uuid = await ready(it)
        await validator.say(order(uuid))
        assert await validator.hear() == JobCancelled(
            job_uuid=uuid,
            reported_by=Party.MINER,
            message="The job was cancelled",
            stage=Stage.EXECUTOR_STARTUP,
        )
        await it.manager.has_killed(it.manager.tokens[0])
        assert (await record(uuid)).state == JobState.CANCELLED


async def test_a_job_whose_executor_is_still_starting_is_ended_at_once(scene):
    async with scene() as it:
        await it.manager.has_started(0)
        validator = await it.validator(VALIDATOR, *Extension)
        offer = validator.offer()
        await validator.say(offer)
        await validator.say(order(offer.job_uuid))
        assert isinstance(await validator.hear(), JobAccepted)
        ending = await validator.hear()
        assert (type(ending), ending.reported_by) == (JobCancelled, Party.MINER)
        await it.manager.has_killed(it.manager.tokens[0])
        await it.executor(1)


async def test_an_order_that_is_not_signed_or_wrongly_is_refused(scene):
    async with scene() as it:
        executor, validator, uuid = await ready(it)
        for wrong in (CancelOrdered(job_uuid=uuid), order(uuid, STRANGER)):
            await validator.say(wrong)
            complaint = await validator.hear()
            assert isinstance(complaint, GenericError)
            assert "CancelJobRequest refused" in complaint.details
        assert await executor.hears_nothing()


async def test_a_validator_cannot_end_the_job_of_another(scene):
    async with scene(validators=(VALIDATOR.ss58_address, STRANGER.ss58_address)) as it:
        executor, _, uuid = await ready(it)
        other = ValidatorPeer(it.app, STRANGER, MINER.ss58_address)
        await other.open()
        await other.log_in(*Extension)
        await other.say(order(uuid, STRANGER))
        assert "unknown job_uuid" in (await other.hear()).details
        assert await executor.hears_nothing()


async def test_who_cancels_a_job_that_is_over_is_told_how_it_ended(scene):
    async with scene() as it:
        executor, validator, uuid = await ready(it)
        await executor.close(1006)
        ending = await validator.hear()
        assert isinstance(ending, HordeFailed)
        await validator.say(order(uuid))
        assert await validator.hear() == JobAccepted(job_uuid=uuid)
        assert await validator.hear() == ending


async def test_an_executor_cannot_cancel_by_itself(scene):
    async with scene() as it:
        executor, validator, uuid = await ready(it)
        await executor.say(JobCancelled(job_uuid=uuid, reported_by=Party.EXECUTOR))
        ending = await validator.hear()
        assert (type(ending), ending.reason) == (HordeFailed, HordeReason.GENERIC_ERROR)
        assert "nobody asked" in ending.message
