"""Whoever broke a job is blamed for it, by the validator and on the command line."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from compute_horde.failure_messages import fault_of_message
from compute_horde.faults import Culprit, Fault
from compute_horde.protocol.job import HordeFailed, JobFailed
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import Party
from compute_horde_sdk.cli.rendering import error_line
from compute_horde_sdk.v1 import ComputeHordeJob, HTTPInputVolume
from tests.network.running import Running, shell, spec, until
from tests.network.sites import Site

pytestmark = pytest.mark.usefixtures("containers")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as running:
        yield running


def fault(network: Running, job: ComputeHordeJob) -> Fault:
    """What the validator's own rows say of how a job ended."""
    query = (
        "SELECT body, said_by FROM jobs_jobevent "
        "WHERE job_id = %s AND state IN ('failed', 'horde_failed')"
    )
    [(body, said_by)] = network.rows("validator", query, job.uuid)
    message = MINER_TO_VALIDATOR.decode(body)
    assert isinstance(message, JobFailed | HordeFailed)
    return fault_of_message(message, Party(said_by))


def paid(network: Running, job: ComputeHordeJob) -> int:
    query = (
        "SELECT score FROM receipts_issuedreceipt "
        "WHERE job_uuid = %s AND receipt_type = 'JobFinishedReceipt'"
    )
    [(score,)] = network.rows("validator", query, job.uuid)
    return int(score)


async def test_a_missing_image_and_a_dead_url_are_the_user_s(network: Running, site: Site) -> None:
    dead = {"/volume/x": HTTPInputVolume(url="http://127.0.0.1:9/nothing")}
    wanted = {
        "image": spec("true", docker_image=f"{site.registry}/no/such-image:1"),
        "URL": shell("true", input_volumes=dead),
    }
    for named, one in wanted.items():
        job = await network.run(one)
        told = fault(network, job)
        assert (job.status, told.blamed) == ("failed", Culprit.USER)
        assert not told.counts_against_miner
        assert named in told.advice
        assert f"[fault: user; next step: {told.advice}]" in error_line(job)
        assert paid(network, job) == 0


async def test_an_overrun_registry_is_nobody_s(network: Running, site: Site) -> None:
    job = await network.run(spec("true", docker_image=f"{site.registry}/overrun/image:1"))
    told = fault(network, job)
    assert (job.status, told.blamed) == ("horde_failed", Culprit.NOBODY), job.error
    assert not told.counts_against_miner
    assert "its registry is asked too often (HTTP 429)" in job.error.message
    assert "[fault: nobody; next step: try again later" in error_line(job)
    again = await network.run(shell("echo fine"))
    assert (again.status, again.result.stdout) == ("completed", "fine\n")


async def test_a_killed_executor_is_the_miner_s(network: Running) -> None:
    job = await network.client().create_job(shell("sleep 30"))
    query = "SELECT state FROM miner_acceptedjob WHERE uuid = %s"
    await until(
        lambda: network.rows("miner", query, job.uuid) == [("volumes_ready",)], "the job runs"
    )
    for executor in network.executors():
        os.kill(executor.pid, signal.SIGKILL)
    await asyncio.wait_for(job.wait(), 150)
    told = fault(network, job)
    assert (job.status, told.blamed) == ("horde_failed", Culprit.MINER), job.error
    assert told.counts_against_miner
    assert "[fault: miner; next step: try again" in error_line(job)
