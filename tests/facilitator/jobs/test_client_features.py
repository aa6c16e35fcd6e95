"""Statuses are adapted to what the client understands."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension, JobState
from facilitator.jobs import client_features
from facilitator.jobs.rules import StatusEvent

KNOWS = frozenset({Extension.CANCEL})


def status_event(state: JobState) -> StatusEvent:
    return StatusEvent(
        1, datetime(2026, 1, 1, tzinfo=UTC), StatusReported(uuid=str(uuid4()), status=state)
    )


def test_a_cancelled_job_is_a_failed_one_to_clients_that_do_not_know_the_word():
    cancelled = status_event(JobState.CANCELLED)
    assert client_features.status_for_client(KNOWS, cancelled) is cancelled
    shown = client_features.status_for_client(frozenset({Extension.OUTPUT}), cancelled)
    assert shown.report.status is JobState.FAILED
    assert (shown.id, shown.at, shown.report.uuid) == (1, cancelled.at, cancelled.report.uuid)


@pytest.mark.parametrize("state", set(JobState) - {JobState.CANCELLED})
def test_every_other_status_is_the_same_to_all(state):
    one = status_event(state)
    assert client_features.status_for_client(frozenset(), one) is one


def test_a_client_announces_in_a_header_what_it_knows():
    assert client_features.features_of({"X-CH-Extensions": "cancel, telepathy"}) == KNOWS
    assert client_features.features_of({}) == frozenset()


def test_a_job_has_ended_when_its_last_status_is_final():
    assert client_features.has_ended({"status_history": [{"status": "sent"}, {"status": "failed"}]})
    assert not client_features.has_ended({"status_history": [{"status": "sent"}]})
