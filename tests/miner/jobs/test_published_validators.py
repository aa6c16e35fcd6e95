"""Validators of the published implementation: one connection per job, for that job only."""

import pytest

from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobFinished,
    VolumesReady,
)
from tests.miner.conftest import PARTIES, RunningMiner
from tests.miner.peers import CLASS, ExecutorPeer
from tests.peers.published_validator import PublishedJob, PublishedValidator

JOBS = 4
RESULT = "x" * 1000


async def start_jobs(it: RunningMiner) -> list[tuple[PublishedJob, ExecutorPeer]]:
    """Accepted jobs, each on a connection of its own, with their executors."""
    validator, jobs = PublishedValidator(it.validator), []
    for number in range(JOBS):
        executor = await it.executor(number)
        job = await validator.job()
        await job.receives(JobAccepted)
        jobs.append((job, executor))
    by_job = {}
    for _, executor in jobs:
        by_job[(await executor.receive()).job_uuid] = executor
    return [(job, by_job[job.uuid]) for job, _ in jobs]


def messages(uuid: str) -> list:
    done = JobFinished(job_uuid=uuid, docker_process_stdout=RESULT, docker_process_stderr="")
    return [VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), done]


async def run(job: PublishedJob, executor: ExecutorPeer) -> None:
    await executor.send(ExecutorReady(job_uuid=job.uuid))
    await job.receives(ExecutorReady)
    await job.peer.send(job.peer.payload(job.uuid))
    for message in messages(job.uuid):
        await executor.send(message)


async def test_each_connection_gets_messages_about_its_own_job_only(run_miner) -> None:
    async with run_miner(executors={CLASS: JOBS}) as it:
        jobs = await start_jobs(it)
        for job, executor in jobs:
            await run(job, executor)
        for job, _ in jobs:
            assert (await job.receives(JobFinished)).docker_process_stdout == RESULT
            assert await job.peer.receives_nothing()
        assert jobs[0][0].validator.dropped == 0


async def test_a_connection_for_a_new_job_gets_no_messages_about_others(run_miner) -> None:
    async with run_miner(executors={CLASS: JOBS + 1}) as it:
        jobs = await start_jobs(it)
        for job, executor in jobs:
            await run(job, executor)
            await job.receives(JobFinished)
        late = await jobs[0][0].validator.job()
        await late.receives(JobAccepted)
        assert late.validator.dropped == 0


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_reopened_connection_gets_the_result_of_its_job(run_miner, is_known) -> None:
    """The miner may or may not know that the first connection was lost."""
    async with run_miner(executors={CLASS: JOBS}) as it:
        jobs = await start_jobs(it)
        job, executor = jobs[0]
        if is_known:
            await job.peer.close()
        job.peer = await it.validator()
        await executor.send(ExecutorReady(job_uuid=job.uuid))
        await job.receives(ExecutorReady)
        await job.peer.send(job.peer.payload(job.uuid))
        for message in messages(job.uuid):
            await executor.send(message)
        await job.receives(JobFinished)


async def test_a_connection_that_resumes_a_job_gets_what_it_missed_of_that_job(
    run_miner,
) -> None:
    async with run_miner(executors={CLASS: JOBS}) as it:
        jobs = await start_jobs(it)
        job, executor = jobs[0]
        await job.peer.close()
        await executor.send(ExecutorReady(job_uuid=job.uuid))
        await it.miner.active_jobs.flush(PARTIES)
        job.peer = await it.validator()
        await job.peer.send(job.peer.accepted_receipt(job.uuid))
        await job.receives(ExecutorReady)
        assert job.validator.dropped == 0
