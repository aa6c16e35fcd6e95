"""Jobs are created, fetched, cancelled, and retried until they succeed."""

import asyncio

import pytest

from compute_horde_sdk import client as client_module
from compute_horde_sdk.client import EXAMPLE_UUID
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobStatus,
    ComputeHordeNotFoundError,
)
from tests.compute_horde.vectors import VECTORS
from tests.compute_horde_sdk.pretend import CANCELLED, GOES_WELL, ON_THE_WAY, finished, steps


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.01)


async def test_jobs_are_listed_by_page_and_one_by_one(client, spec):
    made = [(await client.create_job(spec)).uuid for _ in range(12)]
    assert [job.uuid for job in await client.get_jobs(page=2, page_size=5)] == made[::-1][5:10]
    assert [job.uuid async for job in client.iter_jobs()] == made[::-1]
    with pytest.raises(ComputeHordeNotFoundError):
        await client.get_jobs(page=4)


async def test_an_unknown_job_is_not_found(client):
    with pytest.raises(ComputeHordeNotFoundError):
        await client.get_job("00000000-0000-4000-8000-000000000000")
    with pytest.raises(ValueError, match="uuid"):
        await client.get_job("../../auth/nonce")


async def test_a_job_object_of_the_published_facilitator_is_understood(client):
    answer = VECTORS["facilitator_job_response_example"]
    job = ComputeHordeJob.from_answer(client, answer)
    assert job.uuid == answer["uuid"]
    assert job.status is ComputeHordeJobStatus.COMPLETED
    assert job.result.stdout == "hi\n"
    assert job.result.artifacts == {"/artifacts/a.txt": b"x"}
    assert job.result.upload_results["/output/out.bin"].headers == {"etag": '"abc"'}
    assert [entry.status.value for entry in job.status_history] == [
        "sent",
        "received",
        "accepted",
        "completed",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"uuid": 1},
        {"uuid": "../x", "status_history": []},
        {"uuid": EXAMPLE_UUID, "status_history": None},
        {"uuid": EXAMPLE_UUID, "status_history": ["sent"]},
        {"uuid": EXAMPLE_UUID, "status_history": [{"status": "sent", "created_at": "yesterday"}]},
    ],
)
async def test_a_malformed_job_is_an_error_of_ours(client, answer):
    with pytest.raises(ComputeHordeError, match="malformed"):
        ComputeHordeJob.from_answer(client, answer)


async def test_an_unsuccessful_job_is_made_anew_until_it_succeeds(client, server, spec):
    broken = {"horde_failure_details": {"reason": "x", "message": "y", "reported_by": "miner"}}
    server.script = steps("received", end=(0, "horde_failed", broken))
    seen = []

    async def note(job):
        seen.append(job.uuid)
        if len(seen) == 2:
            server.script = GOES_WELL

    server_jobs = await client.run_until_complete(spec, job_attempt_callback=note)
    # The script is chosen when a job is created, before the callback is called.
    assert server_jobs.status is ComputeHordeJobStatus.COMPLETED
    assert seen == list(server.jobs)
    assert len(seen) == 3


async def test_the_last_attempt_is_returned_whatever_became_of_it(client, server, spec):
    server.script = steps("received", end=(0, "rejected", {}))
    seen = []
    job = await client.run_until_complete(
        spec, job_attempt_callback=lambda job: seen.append(job.uuid), max_attempts=2
    )
    assert job.status is ComputeHordeJobStatus.REJECTED
    assert len(seen) == len(server.jobs) == 2


async def test_a_cancelled_job_is_not_made_anew(client, server, spec):
    server.script = steps("received", end=(0, "cancelled", CANCELLED))
    job = await client.run_until_complete(spec)
    assert job.status is ComputeHordeJobStatus.CANCELLED
    assert len(server.jobs) == 1


async def test_a_job_is_cancelled_by_its_uuid_also_when_the_answer_is_lost(client, server, spec):
    server.script = steps("received")
    server.announces = "events, idempotency-key, cancel"
    job = await client.create_job(spec)
    server.faults["POST /api/v1/jobs/"] = ["drop after"]
    cancelled = await client.cancel_job(job.uuid)
    await cancelled.wait(10)
    assert cancelled.status is ComputeHordeJobStatus.CANCELLED
    first, second = server.seen("POST /api/v1/jobs/")
    assert first[2:] == second[2:]
    assert "cancel" in first[3]["X-CH-Extensions"]


async def test_a_uuid_in_upper_case_is_signed_in_lower_case(client, server, spec):
    server.script = steps("received")
    server.announces = "events, idempotency-key, cancel"
    job = await client.create_job(spec)
    assert (await client.cancel_job(job.uuid.upper())).uuid == job.uuid


async def test_a_facilitator_that_cannot_cancel_says_so(client, server, spec):
    server.script, server.cancels = steps("received"), None
    job = await client.create_job(spec)
    with pytest.raises(ComputeHordeError, match="cannot cancel jobs"):
        await job.cancel()
    server.announces = "cancel"
    with pytest.raises(ComputeHordeNotFoundError):
        await job.cancel()


async def test_a_job_may_be_created_many_times_at_once_with_one_login(client, server, spec):
    server.script = steps(*ON_THE_WAY, end=(1.0, "completed", finished()))
    jobs = await asyncio.gather(*(client.create_job(spec) for _ in range(150)))
    await asyncio.gather(*(job.wait(20) for job in jobs))
    assert all(job.result.stdout == "hi\n" for job in jobs)
    assert server.logins == 1


async def test_a_job_that_cannot_be_read_cuts_no_list_off(client, server, spec, monkeypatch):
    made = [await client.create_job(spec) for _ in range(3)]
    notices = []
    client.facilitator.on_notice = notices.append
    server.jobs[made[1].uuid].history[0]["created_at"] = "no date"
    server.jobs[made[0].uuid].history.clear()
    monkeypatch.setattr(type(server.jobs[made[0].uuid]), "as_json", incomplete_json)
    assert [job.uuid for job in await client.get_jobs()] == [made[2].uuid]
    assert [job.uuid async for job in client.iter_jobs()] == [made[2].uuid]
    for uuid in (made[0].uuid, made[1].uuid):
        assert any(f"job {uuid} is left out of the list" in notice for notice in notices)


def incomplete_json(job):
    return {"uuid": job.uuid, "status_history": job.history}


async def test_a_wait_that_polls_says_so_once(client, server, spec):
    server.pushes = False
    notices = []
    client.facilitator.on_notice = notices.append
    job = await client.create_job(spec)
    await job.wait(20)
    assert len(notices) == 1
    assert "has no stream of status updates" in notices[0]
