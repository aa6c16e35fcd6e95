"""Accepted jobs in the database."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest

from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobFinished,
    VolumesReady,
)
from compute_horde.vocabulary import JobState
from miner.jobs import store
from miner.jobs.live_job import LiveJob
from miner.jobs.models import Job
from miner.receipts import store as receipts
from tests.miner.conftest import MINER, PARTIES, STRANGER, VALIDATOR
from tests.miner.peers import CLASS, ValidatorPeer
from tests.miner.receipts.test_store import finished as finished_receipt

pytestmark = pytest.mark.django_db
PEER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def stored(validator=VALIDATOR, **changes):
    """A job that was just accepted; its UUID."""
    offer = PEER.offer(str(uuid4()), **changes)
    job = LiveJob(offer, MINER, validator.ss58_address, None)
    assert store.store(store.new_row(job, offer.job_uuid))
    return offer.job_uuid


def ended(uuid):
    """End a job well; its UUID."""
    steps = (JobAccepted, ExecutorReady, VolumesReady, ExecutionDone)
    result = JobFinished(job_uuid=uuid, docker_process_stdout="", docker_process_stderr="")
    messages = [*(kind(job_uuid=uuid) for kind in steps), result]
    state = store.write(JobState.RECEIVED, messages, {})
    assert state is JobState.COMPLETED
    return uuid


def test_a_row_has_the_offer_but_not_the_token():
    uuid = stored(docker_image="image\0")
    row = store.find(uuid)
    assert (str(row.pk), row.state, row.executor_class) == (uuid, JobState.RECEIVED, CLASS)
    assert row.validator_hotkey == VALIDATOR.ss58_address
    assert row.executor_token == sha256(uuid.encode()).hexdigest()
    assert "\0" not in row.docker_image
    assert store.find(str(uuid4())) is None


@pytest.mark.django_db(transaction=True)
def test_a_job_is_stored_once_by_the_attempt_whose_token_it_has():
    offer = PEER.offer(str(uuid4()))
    job = LiveJob(offer, MINER, VALIDATOR.ss58_address, None)
    assert store.store(store.new_row(job, "one"))
    # The result of the first attempt was lost; a second offer of the same job has another token.
    assert store.store(store.new_row(job, "one"))
    assert not store.store(store.new_row(job, "two"))
    assert Job.objects.count() == 1


def test_messages_move_the_job_on_and_are_kept_as_sent():
    uuid = stored()
    messages = [JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid)]
    state = store.write(JobState.RECEIVED, messages, {"stdout": "out"})
    assert state is JobState.EXECUTOR_READY
    assert store.messages_of(uuid) == [one.encode() for one in messages]
    row = store.find(uuid)
    assert (row.state, row.stdout) == (JobState.EXECUTOR_READY, "out")
    assert store.messages_of(stored()) == []


def test_unclosed_jobs_are_those_without_a_finished_receipt():
    active, done, closed, _other = stored(), ended(stored()), ended(stored()), stored(STRANGER)
    receipts.store([finished_receipt(closed)])
    assert store.unclosed(PARTIES, LONG_AGO) == [active, done]
    # An active job is one of them however long it takes.
    late = datetime.now(UTC) + timedelta(hours=1)
    assert store.unclosed(PARTIES, late) == [active]


def test_jobs_of_an_earlier_process_are_ended_with_the_reason():
    unfinished, done = stored(), ended(stored())
    store.write(JobState.RECEIVED, [JobAccepted(job_uuid=unfinished)], {})
    assert store.end_unfinished() == [unfinished]
    row = store.find(unfinished)
    assert (row.state, row.error_type) == (JobState.HORDE_FAILED, "generic_error")
    assert row.error_detail == "The miner restarted while the job was accepted"
    assert "V0HordeFailedRequest" in store.messages_of(unfinished)[-1]
    assert store.find(done).state == JobState.COMPLETED
    assert store.end_unfinished() == []


def test_eviction_takes_ended_jobs_only():
    active, old, recent = stored(), ended(stored()), ended(stored())
    Job.objects.filter(pk__in=[active, old]).update(created_at=LONG_AGO, state_since=LONG_AGO)
    assert store.evict(LONG_AGO + timedelta(days=1)) == 1
    assert {str(pk) for pk in Job.objects.values_list("pk", flat=True)} == {active, recent}


def test_a_duration_is_what_the_database_gives_back():
    uuid = stored()
    took = store.duration(1.23456789)
    store.write(JobState.RECEIVED, [JobAccepted(job_uuid=uuid)], {"time_took": took})
    assert store.find(uuid).time_took == took == timedelta(microseconds=1_234_568)
