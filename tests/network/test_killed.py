"""Whatever dies while a job runs, the job ends, the user is told and the next job works."""

import asyncio
import os
import signal

import pytest

from compute_horde_sdk.v1 import ComputeHordeJob
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until

RUNNING_SECONDS = 4


async def a_running_job(network: Running) -> ComputeHordeJob:
    """A job whose container runs."""
    job = await network.client().create_job(
        shell(f"echo began; sleep {RUNNING_SECONDS}; echo done")
    )
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
    ("victim", "named"),
    [
        ("facilitator", "completed"),
        ("validator-listen", "completed"),
        ("valkey", "completed"),
        ("postgres", "completed"),
        ("miner", "miner"),
    ],
)
async def test_a_killed_process_costs_at_most_its_own_jobs(
    network: Running, victim: str, named: str
) -> None:
    job = await a_running_job(network)
    network.kill(victim)
    assert named in await ending(job)
    await assert_all_is_well_again(network)


@pytest.mark.usefixtures("containers")
async def test_a_killed_executor_is_named(network: Running) -> None:
    job = await a_running_job(network)
    for executor in network.executors():
        os.kill(executor.pid, signal.SIGKILL)
    assert "xecutor" in await ending(job)
    await asyncio.sleep(0)
    await assert_all_is_well_again(network)
