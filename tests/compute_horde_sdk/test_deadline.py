"""Every error of a wait carries the job."""

import asyncio

import pytest

from compute_horde_sdk.facilitator import job_updates
from compute_horde_sdk.v1 import ComputeHordeError, ComputeHordeJobTimeoutError
from tests.compute_horde_sdk.pretend import steps


async def test_a_wait_that_ran_out_carries_its_job(client, server, spec):
    server.script = steps("received")
    job = await client.create_job(spec)
    with pytest.raises(ComputeHordeJobTimeoutError) as caught:
        await job.wait(0.05)
    assert (caught.value.job, caught.value.job_uuid) == (job, job.uuid)


async def test_a_wait_that_broke_carries_its_job(client, server, spec, monkeypatch):
    server.script = steps("received")
    monkeypatch.setattr(job_updates, "MAX_OUTAGE_SECONDS", 0.0)
    job = await client.create_job(spec)
    server.faults["GET /api"] = [403] * 99
    with pytest.raises(ComputeHordeError) as caught:
        await job.wait(20)
    assert (caught.value.job, caught.value.job_uuid) == (job, job.uuid)


async def test_what_the_user_s_own_callback_raises_stays_what_it_is(client, server, spec):
    def fails(job, entry):
        raise TimeoutError("mine")

    job = await client.create_job(spec)
    with pytest.raises(TimeoutError, match="mine") as caught:
        await job.wait(5, fails)
    assert not isinstance(caught.value, ComputeHordeError)


async def test_a_cancelled_wait_stays_cancelled(client, server, spec):
    server.script = steps("received")
    job = await client.create_job(spec)
    waiting = asyncio.create_task(job.wait(60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
