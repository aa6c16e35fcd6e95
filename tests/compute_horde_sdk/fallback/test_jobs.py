"""A fallback job is refreshed by its client, and awaited."""

import asyncio

import pytest

from compute_horde_sdk.fallback import jobs
from compute_horde_sdk.fallback.errors import (
    FallbackError,
    FallbackJobTimeoutError,
    FallbackNotFoundError,
)
from compute_horde_sdk.fallback.jobs import FallbackJob, FallbackJobResult, FallbackJobStatus

RESULT = FallbackJobResult("out", "", {})


class Source:
    """A client whose job has one of the given statuses after the other."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.asked = []

    async def get_job(self, job_uuid):
        self.asked.append(job_uuid)
        status = self.statuses.pop(0)
        if isinstance(status, Exception):
            raise status
        return FallbackJob(self, job_uuid, status, None if status.is_in_progress() else RESULT)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.001)


async def test_a_job_is_asked_for_until_it_has_ended():
    source = Source(
        FallbackJobStatus.ACCEPTED, FallbackJobStatus.VOLUMES_READY, FallbackJobStatus.FAILED
    )
    job = FallbackJob(source, "u", FallbackJobStatus.ACCEPTED)
    assert await job.wait(10) is None
    assert (job.status, job.result) == (FallbackJobStatus.FAILED, RESULT)
    assert source.asked == ["u"] * 3


async def test_a_job_that_has_ended_is_not_asked_for():
    source = Source()
    await FallbackJob(source, "u", FallbackJobStatus.COMPLETED, RESULT).wait()
    assert source.asked == []


async def test_a_refresh_asks_once():
    source = Source(FallbackJobStatus.VOLUMES_READY)
    job = FallbackJob(source, "u", FallbackJobStatus.COMPLETED, RESULT)
    await job.refresh()
    assert (job.status, job.result) == (FallbackJobStatus.VOLUMES_READY, None)
    assert repr(job) == "<FallbackJob: 'u'>"


async def test_a_wait_that_runs_out_names_the_job_and_its_last_status(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_SECONDS", 60)
    job = FallbackJob(Source(FallbackJobStatus.VOLUMES_READY), "u", FallbackJobStatus.ACCEPTED)
    with pytest.raises(FallbackJobTimeoutError, match=r"job u .* 0\.01 seconds.* volumes_ready"):
        await job.wait(0.01)


async def test_a_timeout_of_the_cloud_is_not_that_of_the_wait():
    job = FallbackJob(Source(TimeoutError("the cloud")), "u", FallbackJobStatus.ACCEPTED)
    with pytest.raises(TimeoutError, match="the cloud") as caught:
        await job.wait(10)
    assert not isinstance(caught.value, FallbackError)


async def test_a_job_whose_machine_is_gone_ends_the_wait():
    job = FallbackJob(Source(FallbackNotFoundError("gone")), "u", FallbackJobStatus.ACCEPTED)
    with pytest.raises(FallbackNotFoundError):
        await asyncio.wait_for(job.wait(), 10)


async def test_streaming_is_refused_with_what_to_do_instead():
    job = FallbackJob(Source(), "u", FallbackJobStatus.ACCEPTED)
    with pytest.raises(FallbackError, match=r"FallbackJobSpec\(ports="):
        await job.wait_for_streaming()
