"""Stuck jobs are failed, and old rows are deleted."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from facilitator import watchdog
from facilitator.jobs import status_reports
from facilitator.jobs.validator_connections import connections
from facilitator.models import Job, SpentNonce, Validator


@pytest.fixture(autouse=True)
def _up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_started_at", connections._started_at - 10**6)


async def look() -> None:
    await watchdog.check()
    await status_reports.writer.close()


async def age(seconds: float) -> None:
    """Move the creation of all jobs into the past."""
    await in_database(Job.objects.update, created_at=timezone.now() - timedelta(seconds=seconds))


async def end_of(user, uuid: str) -> dict:
    job = await user.job(uuid)
    last = job["status_history"][-1]
    assert last["status"] == "horde_failed"
    assert job["status"] == "Failed"
    assert last["metadata"]["horde_failure_details"]["reported_by"] == "facilitator"
    return last["metadata"]["horde_failure_details"]


async def test_a_job_nobody_took_in_time_is_given_up_and_the_user_told(user, line):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await age(290)
    await look()
    assert (await user.job(uuid))["status"] == "Sent"
    await age(310)
    await look()
    failure = await end_of(user, uuid)
    assert failure["reason"] == "initial_response_timed_out"
    assert "did not take the job" in failure["message"]
    assert (await line.report(uuid, "received"))["status"] == "success"
    assert (await line.report(uuid, "completed"))["status"] == "error"
    await end_of(user, uuid)


async def test_jobs_of_a_validator_who_never_comes_back_are_given_up(user, line, configure):
    taken, waiting = [(await user.create()).json()["uuid"] for _ in range(2)]
    await line.report(await first_job(line), "received")
    await line.leave()
    await age(310)
    configure(absence_seconds=300)
    connections._disconnected_at[line.keypair.ss58_address] -= 299
    await look()
    assert (await user.job(taken))["status"] == "Received"
    connections._disconnected_at[line.keypair.ss58_address] -= 10
    await look()
    for uuid in (taken, waiting):
        failure = await end_of(user, uuid)
        assert "has not been connected for" in failure["message"]
        assert line.keypair.ss58_address in failure["message"]


async def first_job(line) -> str:
    first = (await line.receive())["uuid"]
    await line.receive()
    return first


async def test_a_job_over_all_its_limits_is_given_up(user, line):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.report(uuid, "received")
    await line.report(uuid, "volumes_ready")
    await look()
    assert (await user.job(uuid))["status"] == "Volumes Ready"
    await in_database(Job.objects.update, overdue_at=timezone.now())
    await look()
    failure = await end_of(user, uuid)
    assert failure["reason"] == "execution_timed_out"
    assert "reported no end" in failure["message"]


async def test_after_a_long_absence_of_ours_validators_have_time_to_report(
    user, line, configure, monkeypatch
):
    taken, waiting = [(await user.create()).json()["uuid"] for _ in range(2)]
    await line.report(await first_job(line), "received")
    await line.leave()
    await age(10**6)
    await in_database(Job.objects.update, overdue_at=timezone.now())
    configure(absence_seconds=300)
    monkeypatch.setattr(connections, "_started_at", time.monotonic() - 290)
    monkeypatch.setattr(connections, "_disconnected_at", {})
    await look()
    assert (await user.job(taken))["status"] == "Received"
    assert (await user.job(waiting))["status"] == "Sent"
    monkeypatch.setattr(connections, "_started_at", time.monotonic() - 310)
    await look()
    for uuid in (taken, waiting):
        assert "not been connected for 310 s" in (await end_of(user, uuid))["message"]


async def test_a_validator_just_gone_is_not_blamed_for_being_away(user, line):
    uuid = (await user.create()).json()["uuid"]
    await line.report((await line.receive())["uuid"], "received")
    await line.leave()
    await in_database(Job.objects.update, overdue_at=timezone.now())
    await look()
    assert "reported no end" in (await end_of(user, uuid))["message"]


async def test_finished_jobs_are_left_alone(user, line):
    uuid = (await user.create()).json()["uuid"]
    await line.receive()
    await line.report(uuid, "completed")
    await age(10**6)
    await in_database(Job.objects.update, overdue_at=timezone.now())
    await look()
    assert (await user.job(uuid))["status"] == "Completed"


async def test_a_validator_who_was_struck_off_is_disconnected(line):
    await look()
    assert await line.receives_nothing()
    await in_database(Validator.objects.update, is_active=False)
    await look()
    assert await line.closed() == 3001


async def test_old_jobs_and_nonces_are_deleted(user, line):
    old, young, long, unfinished = [(await user.create()).json()["uuid"] for _ in range(4)]
    for uuid in (old, young, long):
        await line.report(await line.receive() and uuid, "received")
    await line.receive()
    for uuid in (old, young, long):
        await line.report(uuid, "completed")
    week = timezone.now() - timedelta(days=8)
    await in_database(Job.objects.exclude(uuid=young).update, created_at=week)
    await in_database(Job.objects.filter(uuid=old).update, state_since=week)
    await in_database(SpentNonce.objects.create, nonce="old", spent_at=week)
    await in_database(SpentNonce.objects.create, nonce="young")
    assert await watchdog.evict() == 1
    left = await in_database(lambda: {str(pk) for pk in Job.objects.values_list("pk", flat=True)})
    assert left == {young, long, unfinished}
    assert await in_database(lambda: [one.nonce for one in SpentNonce.objects.all()]) == ["young"]
