"""Statuses are shown in words that the client knows."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import Extension, JobState
from facilitator import clients
from facilitator.rules import Told

KNOWS = frozenset({Extension.CANCEL})


def told(state: JobState) -> Told:
    return Told(
        1, datetime(2026, 1, 1, tzinfo=UTC), StatusReported(uuid=str(uuid4()), status=state)
    )


def test_a_cancelled_job_is_a_failed_one_to_clients_that_do_not_know_the_word():
    cancelled = told(JobState.CANCELLED)
    assert clients.in_words_of(KNOWS, cancelled) is cancelled
    shown = clients.in_words_of(frozenset({Extension.OUTPUT}), cancelled)
    assert shown.report.status is JobState.FAILED
    assert (shown.id, shown.at, shown.report.uuid) == (1, cancelled.at, cancelled.report.uuid)


@pytest.mark.parametrize("state", set(JobState) - {JobState.CANCELLED})
def test_every_other_status_is_the_same_to_all(state):
    one = told(state)
    assert clients.in_words_of(frozenset(), one) is one


def test_a_client_says_in_a_header_what_it_knows():
    assert clients.client_of({"X-CH-Extensions": "cancel, telepathy"}) == KNOWS
    assert clients.client_of({}) == frozenset()


def test_a_job_has_ended_when_its_last_status_is_final():
    assert clients.has_ended({"status_history": [{"status": "sent"}, {"status": "failed"}]})
    assert not clients.has_ended({"status_history": [{"status": "sent"}]})
