"""The rules, without database or clock."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from compute_horde.errors import BadSignature
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import HordeReason, JobState, Party
from facilitator.jobs import rules
from facilitator.jobs.rules import JobBody, StatusEvent
from tests.compute_horde.vectors import JOB, KEYS, VECTORS
from tests.peers.api_user import job_body

FULL = VECTORS["job_request_signature_vectors"]["full"]["relayed_V2JobRequest"]
USER = KEYS["sdk_user"].ss58_address
SIGNED_AT = FULL["signature"]["timestamp_ns"]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def check(message, *, by: str = USER, seconds_later: float = 0) -> None:
    return rules.check_signature(
        message,
        by=by,
        now_ns=SIGNED_AT + int(seconds_later * 1e9),
        max_age_seconds=300,
        max_ahead_seconds=60,
    )


def status_events(*states: str) -> list[StatusEvent]:
    """One status a second, from noon."""
    return [
        StatusEvent(
            n, NOON + timedelta(seconds=n), StatusReported(uuid=JOB, status=JobState(state))
        )
        for n, state in enumerate(states)
    ]


def shown(statuses: list[StatusEvent], **changes) -> dict:
    request = JobRequested.model_validate(FULL | changes)
    return rules.job_object(request, JOB, statuses, created_at=NOON, validator="5V", tag="t")


@pytest.mark.parametrize("seconds", [-59, 0, 299])
def test_a_signature_counts_for_a_while(seconds):
    assert check(JobRequested.model_validate(FULL), seconds_later=seconds) is None


@pytest.mark.parametrize(("seconds", "why"), [(-61, "in the future"), (301, "s ago")])
def test_a_signature_from_another_time_does_not_count(seconds, why):
    with pytest.raises(BadSignature, match=why):
        check(JobRequested.model_validate(FULL), seconds_later=seconds)


def test_only_the_one_who_is_logged_in_may_have_signed():
    with pytest.raises(BadSignature, match="logged in as 5other"):
        check(JobRequested.model_validate(FULL), by="5other")


@pytest.mark.parametrize("change", [{"args": []}, {"env": {"A": "1", "B": "2"}}, {"volume": None}])
def test_what_was_changed_after_signing_is_refused(change):
    with pytest.raises(BadSignature):
        check(JobRequested.model_validate(FULL | change))


def test_a_job_without_a_signature_is_refused():
    with pytest.raises(BadSignature):
        check(JobRequested.model_validate(FULL | {"signature": None}))


@pytest.mark.parametrize("vector", VECTORS["cheat_report_vectors"])
def test_recorded_cheat_reports_are_accepted(vector):
    wire = vector["facilitator_wire_message_exclude_none"]
    report = CheatReported.model_validate(wire | {"details": vector["body"]["details"]})
    assert check(report) is None
    with pytest.raises(BadSignature):
        check(report.model_copy(update={"details": "another"}))


def test_headers_become_a_signature_and_incomplete_ones_none():
    recorded = VECTORS["sdk_http_requests"][2]["headers"]
    headers = {name.title().replace("Ch-", "CH-").replace("-Ns", "-NS"): value
               for name, value in recorded.items()}  # fmt: skip
    assert rules.signature_from_headers(headers).model_dump(mode="json") == FULL["signature"]
    del headers["X-CH-Signature-Scope"]
    assert rules.signature_from_headers(headers).signature_scope == "SignedFields"
    for name in ("X-CH-Signature", "X-CH-Signatory", "X-CH-Timestamp-NS", "X-CH-Signature-Type"):
        assert rules.signature_from_headers({k: v for k, v in headers.items() if k != name}) is None


def test_lists_of_volumes_and_uploads_are_wrapped_and_empty_ones_left_out():
    body = VECTORS["sdk_http_requests"][2]["body"]
    signature = JobRequested.model_validate(FULL).signature
    request = JobBody.model_validate(body).request(JOB, signature)
    assert request.model_dump(mode="json") == FULL
    bare = JobBody.model_validate(job_body() | {"volumes": [], "uploads": None})
    assert bare.request(JOB, signature).volume is None
    assert bare.request(JOB, signature).output_upload is None


def test_too_many_volumes_are_refused():
    volume = {"volume_type": "zip_url", "contents": "https://a.example/", "relative_path": None}
    JobBody.model_validate(job_body() | {"volumes": [volume] * 1000})
    with pytest.raises(ValidationError, match="volumes"):
        JobBody.model_validate(job_body() | {"volumes": [volume] * 1001})


def test_the_size_of_a_frame_counts_in_bytes():
    assert rules.oversize_problem("a" * FACILITATOR_FRAME_BYTES) is None
    assert "1048577" in rules.oversize_problem("a" * (FACILITATOR_FRAME_BYTES + 1))
    assert rules.oversize_problem("é" * (FACILITATOR_FRAME_BYTES // 2)) is None
    assert rules.oversize_problem("é" * (FACILITATOR_FRAME_BYTES // 2 + 1))


def test_a_job_is_overdue_after_all_its_limits_and_the_spare_time():
    request = JobRequested.model_validate(FULL)
    overdue = rules.overdue_at(request, now=NOON, spare_seconds=100)
    assert overdue == NOON + timedelta(seconds=10 + 20 + 10 + 5 + 100)
    month = FULL | {"execution_time_limit": 30 * 86400}
    overdue = rules.overdue_at(JobRequested.model_validate(month), now=NOON, spare_seconds=100)
    assert overdue > NOON + timedelta(days=30)
    longest = dict.fromkeys([key for key in FULL if key.endswith("_limit")], 2**31 - 1)
    assert rules.overdue_at(JobRequested.model_validate(FULL | longest), now=NOON, spare_seconds=0)


@pytest.mark.parametrize("state", rules.UNFINISHED)
def test_a_job_given_up_names_its_party_and_reason(state):
    report = rules.abandoned_report(JOB, state, "the validator is gone")
    details = report.metadata.horde_failure_details
    assert report.status is JobState.HORDE_FAILED
    assert details.reported_by is Party.FACILITATOR
    assert details.message == "the validator is gone"
    assert details.reason is not HordeReason.UNKNOWN


def test_the_history_follows_a_jobs_life_and_its_times_never_fall():
    late = status_events("sent", "executor_ready", "accepted", "completed", "received")
    history = rules.history(late)
    states = ["sent", "received", "accepted", "executor_ready", "completed"]
    assert [entry["status"] for entry in history] == states
    times = [entry["created_at"] for entry in history]
    assert times == sorted(times)
    assert times[-1] == "2026-01-01T12:00:03.000000Z"


def test_moves_leave_out_what_came_late():
    late = status_events(
        "sent", "executor_ready", "accepted", "volumes_ready", "completed", "received"
    )
    moves = [one.report.status for one in rules.advancing(late)]
    assert moves == ["sent", "executor_ready", "volumes_ready", "completed"]


def test_streaming_lies_between_volumes_and_execution():
    states = ("sent", "volumes_ready", "streaming_ready", "execution_done", "failed")
    assert [one.report.status for one in rules.advancing(status_events(*states))] == list(states)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_the_last_entry_is_the_end_and_has_a_label(state):
    job = shown(status_events("sent", state, "received"))
    assert job["status_history"][-1]["status"] == state
    assert job["status"] == {"horde_failed": "Failed"}.get(state, state.title())


@pytest.mark.parametrize(
    ("state", "label"), [("executor_ready", "Executor Ready"), ("volumes_ready", "Volumes Ready")]
)
def test_labels_are_those_of_the_published_api(state, label):
    assert shown(status_events("sent", state))["status"] == label


def test_the_job_object_has_the_keys_and_kinds_of_the_published_one():
    example = VECTORS["facilitator_job_response_example"]
    job = shown(status_events("sent"))
    assert {k: type(v) for k, v in job.items()} == {k: type(v) for k, v in example.items()}
    assert job["volumes"] == FULL["volume"]["volumes"]
    assert job["uploads"] == FULL["output_upload"]["uploads"]
    assert job["created_at"] == "2026-01-01T12:00:00.000000Z"


def test_times_of_other_zones_are_shown_in_utc():
    east = datetime.fromisoformat("2026-01-01T02:00:00.5+02:00")
    assert rules.iso_timestamp(east) == "2026-01-01T00:00:00.500000Z"
