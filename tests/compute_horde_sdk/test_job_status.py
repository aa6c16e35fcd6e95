"""Status values and the metadata of a status."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from compute_horde.vocabulary import JobState
from compute_horde_sdk.job_status import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobStatusEntry,
    entry_from,
)
from compute_horde_sdk.job_status import ComputeHordeJobStatus as S


def test_the_words_are_those_of_the_network_without_unknown():
    assert set(map(str, S)) == set(map(str, JobState)) - {"unknown"}
    assert {s.name: s.value for s in S} == {s.name: s.value for s in JobState if s != "unknown"}


def test_a_status_is_in_progress_successful_or_failed():
    failed = {S.REJECTED, S.FAILED, S.HORDE_FAILED, S.CANCELLED}
    assert {s for s in S if s.is_failed()} == failed
    assert {s for s in S if s.is_successful()} == {S.COMPLETED}
    assert {s for s in S if s.is_in_progress()} == set(S) - failed - {S.COMPLETED}
    assert {s for s in S if s.is_streaming_ready()} == {S.STREAMING_READY}


def test_errors_take_their_fields_in_the_published_order():
    assert ComputeHordeJobRejection("r", "m").context is None
    assert ComputeHordeJobFailure("r", "m", {"a": 1}).context == {"a": 1}
    assert ComputeHordeHordeFailure("r", "m", "miner").reported_by == "miner"


def test_an_entry_keeps_what_it_does_not_know():
    entry = entry_from(
        {"status": "sent", "created_at": "2026-01-01T00:00:00Z", "metadata": {"extra": 1}}
    )
    assert entry.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert entry.metadata.extra == 1
    assert (
        TypeAdapter(ComputeHordeJobStatusEntry).dump_python(entry, mode="json")["status"] == "sent"
    )


@pytest.mark.parametrize("status", ["unknown", "brand_new"])
def test_a_status_of_another_time_is_passed_over(status):
    assert entry_from({"status": status, "created_at": "2026-01-01T00:00:00Z"}) is None


@pytest.mark.parametrize("status", [None, [], {}, 1])
def test_what_is_no_word_at_all_is_malformed(status):
    with pytest.raises(ValueError, match="malformed"):
        entry_from({"status": status, "created_at": "2026-01-01T00:00:00Z"})
