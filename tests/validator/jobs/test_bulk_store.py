"""Transitions of many jobs at once."""

from datetime import UTC, datetime

import pytest

from compute_horde.protocol.job import JobDeclined
from compute_horde.vocabulary import JobState, Party
from tests.peers.user import request
from validator.jobs import actions, bulk_store
from validator.jobs.models import Job, JobEvent
from validator.jobs.store import Event, Transition

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def declined(job: Job, before: JobState = JobState.RECEIVED) -> Transition:
    message = JobDeclined(job_uuid=str(job.pk), message="full")
    event = Event(JobState.REJECTED, message, Party.MINER, NOON)
    return Transition(str(job.pk), before, "5Miner", None, events=(event,))


def test_all_are_written_once_and_those_in_another_state_are_left_alone() -> None:
    jobs = [actions.create_admin_job(request(signer=None), miner="") for _ in range(3)]
    Job.objects.filter(pk=jobs[2].pk).update(state=JobState.ACCEPTED)
    transitions = [declined(job) for job in jobs]
    assert bulk_store.record_all(transitions) == 2
    assert bulk_store.record_all(transitions) == 0
    states = Job.objects.order_by("state").values_list("state", "miner")
    assert list(states) == [("accepted", ""), ("rejected", "5Miner"), ("rejected", "5Miner")]
    events = JobEvent.objects.filter(state="rejected").values_list("created_at", "said_by")
    assert list(events) == [(NOON, "miner")] * 2


def test_nothing_is_no_problem() -> None:
    assert bulk_store.record_all([]) == 0
