"""What the listener reads of jobs: those to resume, their statuses and their receipts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobFinished,
    VolumesReady,
)
from compute_horde.vocabulary import JobState, Party
from tests.peers.keys import MINER, STRANGER, USER, VALIDATOR
from tests.peers.miner import result
from tests.peers.user import request
from validator.config import config
from validator.facilitator.waiting_statuses import Stored
from validator.jobs import actions, queries, rules, store
from validator.jobs.conversation import MinerContract
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job, JobEvent
from validator.jobs.store import Event

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOTKEY = MINER.ss58_address
UNKNOWN = "00000000-0000-0000-0000-000000000001"
ROAD = {
    JobState.ACCEPTED: JobAccepted,
    JobState.EXECUTOR_READY: ExecutorReady,
    JobState.VOLUMES_READY: VolumesReady,
    JobState.EXECUTION_DONE: ExecutionDone,
    JobState.COMPLETED: JobFinished,
}


def contract(job: LiveJob, miner: str = HOTKEY) -> MinerContract:
    timing = rules.budget(job.request, config.timing)
    return MinerContract(job.request, miner, VALIDATOR, timing, is_organic=True)


def job_in(state: JobState, *, kind: Job.Kind = Job.Kind.ORGANIC) -> LiveJob:
    """A stored job that went all the way to `state` at one miner."""
    job = LiveJob(request(), kind)
    assert store.insert(job.row(job.uuid), job.transition())
    if state is not JobState.RECEIVED:
        job.miner = HOTKEY
        move(job, state)
    return job


def move(job: LiveJob, last: JobState) -> None:
    """Go on to `last`, a second for each state."""
    for number, (state, kind) in enumerate(ROAD.items(), 1):
        message = result(job.uuid) if kind is JobFinished else kind(job_uuid=job.uuid)
        event = Event(state, message, Party.MINER, NOW + timedelta(seconds=number))
        assert store.record(job.transition(event))
        if state is last:
            return


def test_only_unfinished_jobs_of_the_listener_are_resumed_oldest_first() -> None:
    first, second = job_in(JobState.ACCEPTED), job_in(JobState.RECEIVED, kind=Job.Kind.ADMIN)
    job_in(JobState.RECEIVED, kind=Job.Kind.SYNTHETIC)
    job_in(JobState.COMPLETED)
    Job.objects.filter(pk=second.uuid).update(created_at=NOW)
    assert [str(row.pk) for row in queries.unfinished([])] == [second.uuid, first.uuid]
    assert [str(row.pk) for row in queries.unfinished([second.uuid])] == [first.uuid]


def test_a_job_that_nobody_accepted_knows_who_was_offered_it() -> None:
    job = job_in(JobState.RECEIVED)
    started = [contract(job, miner).sign_started_receipt(NOW) for miner in ("5L", "5M")]
    assert store.record(job.transition(receipts=tuple(started)))
    assert set(queries.job(job.uuid).offered_to) == {"5L", "5M"}
    assert queries.job(UNKNOWN) is None
    move(job, JobState.ACCEPTED)
    assert queries.job(job.uuid).offered_to == ()


@pytest.mark.parametrize("state", [JobState.VOLUMES_READY, JobState.EXECUTION_DONE])
def test_a_job_at_work_knows_for_how_much_it_has_receipts(state: JobState) -> None:
    job = job_in(state)
    began = NOW + timedelta(seconds=3)
    assert queries.job(job.uuid).work_progress.since == began
    length = timedelta(seconds=10)
    for number in range(2):
        issued = contract(job).sign_interval_receipt(
            number,
            began=began + number * length,
            length=length,
            score=Decimal("2.5"),
            now=began + (number + 1) * length,
        )
        assert store.record(job.transition(receipts=(issued,)))
    progress = queries.job(job.uuid).work_progress
    assert (progress.since, progress.count) == (began + 2 * length, 2)
    assert (progress.earned, len(progress.recent)) == (Decimal(5), 2)


def test_many_jobs_are_resumed_with_few_queries_each_with_its_own_receipts(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    waiting, working = (
        [job_in(state) for _ in range(3)] for state in (JobState.RECEIVED, JobState.VOLUMES_READY)
    )
    for number, job in enumerate(waiting):
        started = contract(job, f"5M{number}").sign_started_receipt(NOW)
        assert store.record(job.transition(receipts=(started,)))
    with django_assert_max_num_queries(5):
        found = {str(row.pk): row for row in queries.unfinished([])}
    assert [found[job.uuid].offered_to for job in waiting] == [["5M0"], ["5M1"], ["5M2"]]
    began = {found[job.uuid].work_progress.since for job in working}
    assert began == {NOW + timedelta(seconds=3)}


def test_a_job_before_its_work_has_no_progress() -> None:
    assert queries.job(job_in(JobState.EXECUTOR_READY).uuid).work_progress is None


def test_every_status_can_be_read_again() -> None:
    job = job_in(JobState.COMPLETED)
    keys = queries.stored_statuses(job.uuid)
    assert [key.status for key in keys] == ["received", *ROAD]
    read = [queries.read_status(key) for key in keys]
    assert [one.status for one in read] == [key.status for key in keys]
    assert {one.uuid for one in read} == {job.uuid}
    assert read[-1].metadata.miner_response.docker_process_stdout == "hi\n"
    assert queries.read_status(Stored(job.uuid, JobState.FAILED)) is None
    JobEvent.objects.all().delete()
    assert queries.read_status(keys[-1]) is None


def test_jobs_whose_end_nobody_acknowledged_are_known_with_their_miner() -> None:
    told, untold, admin = (
        job_in(JobState.COMPLETED),
        job_in(JobState.COMPLETED),
        job_in(JobState.COMPLETED, kind=Job.Kind.ADMIN),
    )
    older = job_in(JobState.RECEIVED)
    Job.objects.filter(pk=older.uuid).update(created_at=NOW)
    store.mark_acknowledged([told.uuid])
    found = queries.unacknowledged()
    assert list(found.items()) == [(older.uuid, ""), (untold.uuid, HOTKEY)]
    assert admin.uuid not in found


def test_a_finished_receipt_is_read_as_it_was_signed() -> None:
    job = job_in(JobState.COMPLETED)
    assert queries.finished_receipt(job.uuid, HOTKEY) is None
    finished = contract(job).sign_finished_receipt(Decimal("1.25"), NOW)
    assert store.record(job.transition(receipts=(finished,)))
    read = queries.finished_receipt(job.uuid, HOTKEY)
    assert (read.payload, read.signature) == (finished.payload, finished.signature)
    assert queries.finished_receipt(job.uuid, "5Other") is None


def test_cancel_requests_are_found_among_the_jobs_that_are_asked_for() -> None:
    asked, other = job_in(JobState.ACCEPTED), job_in(JobState.ACCEPTED)
    actions.cancel(asked.uuid)
    [(uuid, at)] = queries.cancel_requests([asked.uuid, other.uuid])
    assert (uuid, at) == (asked.uuid, Job.objects.get(pk=asked.uuid).cancel_asked_at)
    assert queries.cancel_requests([other.uuid]) == []
    assert queries.cancel_requests([]) == []


def test_signers_are_those_of_their_lists() -> None:
    actions.allow_signers([USER.ss58_address], "")
    actions.record_binding_signer(STRANGER.ss58_address)
    assert queries.allowed_signers() == {USER.ss58_address}
    assert queries.binding_signers() == {STRANGER.ss58_address}
