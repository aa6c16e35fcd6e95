"""Transitions are written before they are reported, in order, and by their job's owner alone."""

from collections.abc import AsyncIterator

import pytest
from django.db import OperationalError

from compute_horde.django import database
from compute_horde.django.database import in_database
from compute_horde.protocol.job import ExecutorReady, JobAccepted, JobDeclined
from compute_horde.vocabulary import JobState, Party
from tests.peers.user import request
from validator.facilitator.outbox import Outbox
from validator.facilitator.waiting_statuses import WaitingStatuses
from validator.jobs import queries, store
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job, JobEvent, RefusedOffer
from validator.jobs.recorder import JobRecorder, JobTakenOverError
from validator.jobs.store import Event

pytestmark = pytest.mark.django_db(transaction=True)


async def read(stored):
    return await in_database(queries.read_status, stored)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(statuses=WaitingStatuses(read))


@pytest.fixture
async def recorder(outbox: Outbox) -> AsyncIterator[JobRecorder]:
    made = JobRecorder(outbox)
    yield made
    await made.close()


async def stored(kind: Job.Kind = Job.Kind.ORGANIC) -> LiveJob:
    job = LiveJob(request(), kind)
    assert await in_database(store.insert, job.row(job.uuid), job.transition())
    return job


def accepted(job: LiveJob) -> Event:
    return Event(JobState.ACCEPTED, JobAccepted(job_uuid=job.uuid), Party.MINER)


def ready(job: LiveJob) -> Event:
    return Event(JobState.EXECUTOR_READY, ExecutorReady(job_uuid=job.uuid), Party.MINER)


def declined(job: LiveJob) -> Event:
    return Event(JobState.REJECTED, JobDeclined(job_uuid=job.uuid), Party.MINER)


async def reported(outbox: Outbox) -> list[str]:
    """The states of all reports that wait."""
    return [str((await outbox.next()).status) for _ in range(len(outbox))]


async def state_of(job: LiveJob) -> str:
    return (await in_database(Job.objects.get, pk=job.uuid)).state


async def test_transitions_are_written_together_and_reported_in_order(outbox, recorder) -> None:
    job = await stored()
    recorder.report_received(job.uuid)
    recorder.put(job.kind, job.transition(accepted(job)))
    recorder.put(job.kind, job.transition(ready(job)))
    assert await state_of(job) == "received"
    assert await recorder.flush(job.uuid)
    assert await state_of(job) == "executor_ready"
    assert await reported(outbox) == ["received", "accepted", "executor_ready"]


@pytest.mark.parametrize("kind", [Job.Kind.ADMIN, Job.Kind.SYNTHETIC])
async def test_only_users_jobs_are_reported(outbox, recorder, kind) -> None:
    job = await stored(kind)
    recorder.put(kind, job.transition(accepted(job)))
    assert await recorder.flush(job.uuid)
    assert await state_of(job) == "accepted"
    assert len(outbox) == 0


async def test_who_lost_its_job_reports_what_the_new_owner_wrote(outbox, recorder) -> None:
    job = await stored()
    other = LiveJob(job.request, job.kind)
    assert await in_database(store.record, other.transition(declined(other)))
    recorder.put(job.kind, job.transition(accepted(job)))
    assert not await recorder.flush(job.uuid)
    assert await state_of(job) == "rejected"
    assert await reported(outbox) == ["received", "rejected"]
    with pytest.raises(JobTakenOverError, match=job.uuid):
        await recorder.write_now(job.transition(ready(job)))
    recorder.forget(job.uuid)
    assert await recorder.flush(job.uuid)


async def test_a_write_now_is_written_when_it_returns(recorder) -> None:
    job = await stored()
    await recorder.write_now(job.transition(accepted(job)))
    assert await state_of(job) == "accepted"


async def test_a_database_that_is_away_for_long_is_waited_for(
    outbox, recorder, monkeypatch, caplog
) -> None:
    job = await stored()
    record, failures = store.record, [OperationalError("away"), OperationalError("away")]

    def unreachable(*given):
        if failures:
            raise failures.pop()
        return record(*given)

    monkeypatch.setattr(store, "record", unreachable)
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(database, "RETRY_SECONDS", 0)
    recorder.put(job.kind, job.transition(accepted(job)))
    assert await recorder.flush(job.uuid)
    assert caplog.text.count("database still unreachable") == 2
    assert await reported(outbox) == ["accepted"]


async def test_the_end_is_marked_once_the_facilitator_acknowledged_it(outbox, recorder) -> None:
    job = await stored()
    recorder.put(job.kind, job.transition(declined(job)))
    await recorder.flush(job.uuid)
    recorder.report_received(job.uuid)
    assert await recorder.miners_of_unacknowledged() == {job.uuid: ""}
    for _ in await reported(outbox):
        recorder.mark_acknowledged(outbox.on_answer())
    await recorder.close()
    assert await recorder.miners_of_unacknowledged() == {}


async def test_an_earlier_status_that_is_acknowledged_is_no_end(recorder, outbox) -> None:
    job = await stored()
    recorder.report_received(job.uuid)
    await outbox.next()
    recorder.mark_acknowledged(outbox.on_answer())
    await recorder.close()
    assert job.uuid in await recorder.miners_of_unacknowledged()


async def test_after_a_restart_what_nobody_acknowledged_is_reported_again(outbox, recorder) -> None:
    job = await stored()
    assert await in_database(store.record, job.transition(accepted(job), ready(job)))
    await recorder.report_unacknowledged()
    assert await reported(outbox) == ["received", "accepted", "executor_ready"]


async def test_an_event_that_will_not_be_written_is_reported_all_the_same(outbox, recorder) -> None:
    job = LiveJob(request(), Job.Kind.ORGANIC)
    recorder.report_unwritten(job.uuid, declined(job))
    assert await reported(outbox) == ["rejected"]
    assert not await in_database(JobEvent.objects.exists)


async def test_that_a_miner_declined_a_job_is_written_once(recorder: JobRecorder) -> None:
    job = await stored()
    for miner in ("a", "b", "a"):
        recorder.put_refusal(job.uuid, miner, "busy")
    await recorder.close()
    rows = await in_database(lambda: list(RefusedOffer.objects.values_list("hotkey", "reason")))
    assert rows == [("a", "busy"), ("b", "busy")]
