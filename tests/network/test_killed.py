"""Whatever dies while a job runs, the job ends, the user is told and the next job works."""

import asyncio
import os
import signal

import pytest

from compute_horde_sdk.v1 import ComputeHordeJob
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until

# How long a job runs that survives, and one that is killed.
SECONDS, KILLED_SECONDS = 4, 25


async def a_running_job(network: Running, seconds: int) -> ComputeHordeJob:
    """A job whose container runs for so long."""
    job = await network.client().create_job(shell(f"echo began; sleep {seconds}; echo done"))
    query = "SELECT state FROM miner_acceptedjob WHERE uuid = %s"
    await until(
        lambda: network.rows("miner", query, job.uuid) == [("volumes_ready",)], "the job runs"
    )
    return job


async def ending(job: ComputeHordeJob) -> str:
    """How the job ended, in the words its user reads."""
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    if job.status == "completed":
        assert job.result is not None
        assert job.result.stdout == "began\ndone\n"
        return "completed"
    assert job.status == "horde_failed", job.error
    assert job.error is not None
    return str(job.error.message)


async def assert_all_is_well_again(network: Running) -> None:
    again = await network.run(shell("echo again"))
    assert (again.status, again.result.stdout) == ("completed", "again\n"), again.error
    for service, table in (("miner", "miner_acceptedjob"), ("validator", "jobs_job")):
        query = (
            f"SELECT uuid, state FROM {table} "
            "WHERE state NOT IN ('completed', 'failed', 'horde_failed', 'rejected', 'cancelled')"
        )

        def nothing_runs(service: str = service, query: str = query) -> bool:
            return network.rows(service, query) == []

        await until(nothing_runs, f"nothing stays running at the {service}")


@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize(
    ("victim", "seconds", "named"),
    [
        ("facilitator", SECONDS, "completed"),
        ("validator-listen", SECONDS, "completed"),
        ("valkey", SECONDS, "completed"),
        ("postgres", SECONDS, "completed"),
        ("miner", KILLED_SECONDS, "miner"),
    ],
)
async def test_a_killed_process_costs_at_most_its_own_jobs(
    network: Running, victim: str, seconds: int, named: str
) -> None:
    job = await a_running_job(network, seconds)
    network.kill(victim)
    assert named in await ending(job)
    await assert_all_is_well_again(network)


@pytest.mark.usefixtures("containers")
async def test_a_killed_executor_is_named(network: Running) -> None:
    job = await a_running_job(network, KILLED_SECONDS)
    for executor in network.executors():
        os.kill(executor.pid, signal.SIGKILL)
    assert "xecutor" in await ending(job)
    await asyncio.sleep(0)
    await assert_all_is_well_again(network)
