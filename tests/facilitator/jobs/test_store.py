"""Database access for jobs, each call of them repeated."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from compute_horde.protocol.status import StatusReported
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import JobState
from facilitator import validator_login
from facilitator.jobs import store
from facilitator.jobs.rules import JobBody
from facilitator.jobs.store import JobSubmission
from facilitator.models import Job, Validator
from facilitator.web.errors import ApiError
from tests.compute_horde.vectors import KEYS
from tests.peers.api_user import job_body

USER, VALIDATOR = KEYS["sdk_user"].ss58_address, KEYS["validator"].ss58_address


def submission(**changes) -> JobSubmission:
    request = JobBody.model_validate(job_body()).request(
        str(uuid.uuid4()), RequestSignature(signature="")
    )
    made = JobSubmission(
        hotkey=USER,
        validator=VALIDATOR,
        request=request,
        frame=request.encode(),
        tag="",
        digest=uuid.uuid4().hex,
        body_hash="b",
        idempotency_key=None,
        overdue_at=timezone.now(),
    )
    return replace(made, **changes)


def report(job: Job, *states: JobState) -> list | None:
    statuses = [StatusReported(uuid=str(job.uuid), status=state) for state in states]
    return store.record_statuses(str(job.uuid), VALIDATOR, statuses, [timezone.now()] * len(states))


@pytest.mark.parametrize("key", [None, "key"])
def test_an_attempt_that_was_stored_before_the_connection_broke_counts_as_new(key):
    one = submission(idempotency_key=key)
    _, sent = store.create(one, "c")
    job, sent_again = store.create(one, "c")
    assert sent_again == sent
    assert str(job.uuid) == one.request.uuid


def test_an_unknown_validator_has_no_jobs():
    with pytest.raises(ApiError) as refused:
        store.create(submission(validator="5nobody"), "c")
    assert (refused.value.status, refused.value.body) == (400, ["Could not select Validator"])
    assert not Job.objects.exists()


def test_a_burst_of_reports_costs_no_more_statements_than_one():
    one, many = (store.create(submission(), "c")[0] for _ in range(2))
    with CaptureQueriesContext(connection) as few:
        report(one, JobState.RECEIVED)
    states = [JobState(state) for state in ("received", "accepted", "executor_ready", "completed")]
    with CaptureQueriesContext(connection) as burst:
        assert len(report(many, *states)) == 4
    assert len(burst) == len(few) <= 6


def test_creating_a_job_costs_one_statement_and_a_look_at_who_must_bind_requests():
    with CaptureQueriesContext(connection) as queries:
        store.create(submission(), "c")
    kinds = [query["sql"].split()[0] for query in queries]
    assert kinds == ["SELECT", "WITH"]


def test_reports_keep_the_time_they_were_received_at():
    job, _ = store.create(submission(), "c")
    at = timezone.now() - timedelta(minutes=1)
    status = StatusReported(uuid=str(job.uuid), status=JobState.RECEIVED)
    (stored,) = store.record_statuses(str(job.uuid), VALIDATOR, [status], [at])
    assert (stored.at, stored.report) == (at, status)
    assert job.events.last().created_at == at


def test_reports_of_nobodys_job_are_distinguished_from_repeats():
    job, _ = store.create(submission(), "c")
    assert len(report(job, JobState.RECEIVED)) == 1
    assert report(job, JobState.RECEIVED) == []
    statuses = [StatusReported(uuid=str(uuid.uuid4()), status=JobState.RECEIVED)]
    assert store.record_statuses(statuses[0].uuid, VALIDATOR, statuses, [timezone.now()]) is None
    assert store.record_statuses(str(job.uuid), "5other", statuses, [timezone.now()]) is None


def test_a_nonce_is_spent_once():
    assert store.use_nonce("n")
    assert not store.use_nonce("n")


def test_only_active_validators_may_connect():
    assert validator_login.active_validator(VALIDATOR)
    validator_login.record_login(VALIDATOR, "1.2", by_challenge=False)
    validator = Validator.objects.get()
    assert (validator.version, validator.last_login is None) == ("1.2", False)
    Validator.objects.update(is_active=False)
    assert not validator_login.active_validator(VALIDATOR)
    assert not validator_login.active_validator("5nobody")
