"""The database's side of things, each action as often as it may be repeated."""

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
from facilitator import actions
from facilitator.actions import Order
from facilitator.models import Job, Validator
from facilitator.refusal import Refusal
from facilitator.rules import JobBody
from tests.compute_horde.vectors import KEYS
from tests.facilitator.parties import job_body

USER, VALIDATOR = KEYS["sdk_user"].ss58_address, KEYS["validator"].ss58_address


def order(**changes) -> Order:
    request = JobBody.model_validate(job_body()).request(
        str(uuid.uuid4()), RequestSignature(signature="")
    )
    made = Order(
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
    return actions.record(str(job.uuid), VALIDATOR, statuses, [timezone.now()] * len(states))


def test_an_attempt_that_was_stored_before_the_connection_broke_counts_as_new():
    one = order(idempotency_key=None)
    _, sent = actions.create(one, "c")
    job, sent_again = actions.create(one, "c")
    assert sent_again == sent
    assert str(job.uuid) == one.request.uuid


def test_an_unknown_validator_has_no_jobs():
    with pytest.raises(Refusal) as refused:
        actions.create(order(validator="5nobody"), "c")
    assert (refused.value.status, refused.value.body) == (400, ["Could not select Validator"])
    assert not Job.objects.exists()


def test_a_burst_of_reports_costs_no_more_statements_than_one():
    one, many = (actions.create(order(), "c")[0] for _ in range(2))
    with CaptureQueriesContext(connection) as few:
        report(one, JobState.RECEIVED)
    states = [JobState(state) for state in ("received", "accepted", "executor_ready", "completed")]
    with CaptureQueriesContext(connection) as burst:
        assert len(report(many, *states)) == 4
    assert len(burst) == len(few) <= 6


def test_creating_a_job_costs_two_inserts():
    with CaptureQueriesContext(connection) as queries:
        actions.create(order(), "c")
    kinds = [query["sql"].split()[0] for query in queries]
    assert kinds == ["BEGIN", "INSERT", "INSERT", "COMMIT"]


def test_reports_keep_the_time_they_were_heard_at():
    job, _ = actions.create(order(), "c")
    at = timezone.now() - timedelta(minutes=1)
    status = StatusReported(uuid=str(job.uuid), status=JobState.RECEIVED)
    (told,) = actions.record(str(job.uuid), VALIDATOR, [status], [at])
    assert (told.at, told.report) == (at, status)
    assert job.events.last().created_at == at


def test_reports_of_nobodys_job_are_told_apart_from_repeats():
    job, _ = actions.create(order(), "c")
    assert len(report(job, JobState.RECEIVED)) == 1
    assert report(job, JobState.RECEIVED) == []
    statuses = [StatusReported(uuid=str(uuid.uuid4()), status=JobState.RECEIVED)]
    assert actions.record(statuses[0].uuid, VALIDATOR, statuses, [timezone.now()]) is None
    assert actions.record(str(job.uuid), "5other", statuses, [timezone.now()]) is None


def test_a_nonce_is_spent_once():
    assert actions.spend("n")
    assert not actions.spend("n")


def test_only_active_validators_may_connect():
    assert actions.may_connect(VALIDATOR)
    actions.note_login(VALIDATOR, "1.2")
    validator = Validator.objects.get()
    assert (validator.version, validator.last_login is None) == ("1.2", False)
    Validator.objects.update(is_active=False)
    assert not actions.may_connect(VALIDATOR)
    assert not actions.may_connect("5nobody")
