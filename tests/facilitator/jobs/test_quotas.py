"""How many jobs one user may have at once."""

import asyncio

import pytest

from compute_horde.django.database import in_database
from compute_horde.vocabulary import JobState
from facilitator.jobs import quotas
from facilitator.jobs.quotas import UserQuota
from facilitator.models import Job
from tests.facilitator.jobs.test_submission import CREATE
from tests.peers.api_user import job_body


@pytest.fixture
def limited(monkeypatch):
    def limit(in_flight: int = 1000, per_minute: int = 1000) -> UserQuota:
        quota = UserQuota(in_flight, per_minute)
        monkeypatch.setattr(quotas, "quota", quota)
        return quota

    return limit


async def test_one_job_too_many_is_refused_with_the_number_and_when_to_come_back(
    user, stranger, line, limited
):
    limited(in_flight=2)
    made = [await user.create() for _ in range(3)]
    assert [answer.status_code for answer in made] == [201, 201, 429]
    assert "at most 2 of your jobs" in made[2].json()["details"]
    assert int(made[2]["Retry-After"]) > 0
    assert (await stranger.create()).status_code == 201
    jobs = Job.objects.filter(hotkey=user.hotkey)
    await in_database(jobs.update, state=JobState.COMPLETED)
    assert (await user.create()).status_code == 201


async def test_so_many_jobs_may_be_started_per_minute(user, line, limited):
    limited(per_minute=2)
    made = [await user.create() for _ in range(3)]
    assert [answer.status_code for answer in made] == [201, 201, 429]
    assert "2 jobs may be started per minute" in made[2].json()["details"]
    assert 1 <= int(made[2]["Retry-After"]) <= 30


async def test_of_many_jobs_at_once_as_many_are_taken_as_there_is_room_for(user, line, limited):
    limited(in_flight=3)
    made = await asyncio.gather(*(user.create() for _ in range(8)))
    assert sorted(answer.status_code for answer in made) == [201] * 3 + [429] * 5


async def test_a_repeated_request_gets_the_job_it_made(user, line, limited):
    limited(in_flight=1)
    headers = user.sign_job(job_body()) | {"Idempotency-Key": "k"}
    first = await user.post(CREATE, job_body(), headers)
    again = await user.post(CREATE, job_body(), headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["uuid"] == again.json()["uuid"]


async def test_the_database_is_asked_once_in_many_jobs(user, line, limited, monkeypatch):
    counted = []
    monkeypatch.setattr(
        quotas.store, "count_unfinished", lambda hotkey: counted.append(hotkey) or 0
    )
    limited()
    for _ in range(5):
        await user.create()
    assert counted == [user.hotkey]
