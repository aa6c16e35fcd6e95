"""A job's state and events change together, once and atomically."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from compute_horde.django.job_record import notify
from compute_horde.lifecycle import IllegalTransition
from compute_horde.protocol import job as messages
from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import HordeReason, Party
from compute_horde.vocabulary import JobState as S
from tests.compute_horde.django.conftest import aside
from tests.compute_horde.django.records.models import Job
from tests.compute_horde.vectors import JOB

GOLDEN = Path(__file__).parent.parent / "protocol" / "golden"
ACCEPTED, READY = messages.JobAccepted(job_uuid=JOB), messages.ExecutorReady(job_uuid=JOB)
VOLUMES, DONE = messages.VolumesReady(job_uuid=JOB), messages.ExecutionDone(job_uuid=JOB)
SPECS = MachineSpecs(job_uuid=JOB, specs={"cpu": 8})
FINISHED = messages.JobFinished(
    job_uuid=JOB, docker_process_stdout="\0hi", docker_process_stderr="ł"
)
LOST = messages.HordeFailed(
    job_uuid=JOB, reported_by=Party.MINER, message="gone", reason=HordeReason.EXECUTOR_DISCONNECTED
)


@pytest.fixture(autouse=True)
def _a_received_job() -> None:
    Job.objects.create(uuid=JOB, state=S.RECEIVED)


def states() -> list[str]:
    return list(Job.objects.get().events.values_list("state", flat=True))


def test_a_fact_moves_the_job_and_is_kept_as_it_was_said():
    before = Job.objects.get()
    job, events = Job.apply(ACCEPTED)
    assert (job.job_state, job.is_final) == (S.ACCEPTED, False)
    assert [(event.state, event.body) for event in events] == [("accepted", ACCEPTED.encode())]
    stored = Job.objects.get()
    assert (stored.state, stored.events.get().pk) == ("accepted", events[0].pk)
    assert stored.state_since > before.state_since


def test_a_burst_is_written_in_the_order_said():
    job, events = Job.apply(ACCEPTED, READY, VOLUMES, DONE, SPECS, FINISHED)
    assert job.is_final
    assert states() == [
        "accepted",
        "executor_ready",
        "volumes_ready",
        "execution_done",
        "execution_done",
        "completed",
    ]
    assert [event.pk for event in events] == sorted(event.pk for event in events)
    assert messages.JobFinished.model_validate_json(events[-1].body) == FINISHED


def test_a_repeat_changes_nothing():
    Job.apply(ACCEPTED, READY)
    before = Job.objects.get().state_since
    assert Job.apply(READY, ACCEPTED)[1] == []
    assert states() == ["accepted", "executor_ready"]
    assert Job.objects.get().state_since == before


def test_what_is_new_of_a_burst_is_written_and_the_rest_is_not():
    Job.apply(ACCEPTED)
    assert [event.state for event in Job.apply(ACCEPTED, READY)[1]] == ["executor_ready"]


def test_an_impossible_fact_takes_its_whole_burst_with_it():
    with pytest.raises(IllegalTransition):
        Job.apply(ACCEPTED, READY, FINISHED, note="never")
    stored = Job.objects.get()
    assert (stored.state, stored.note, states()) == ("received", "", [])


def test_a_second_ending_is_impossible():
    Job.apply(ACCEPTED, LOST)
    with pytest.raises(IllegalTransition):
        Job.apply(messages.JobFailed.model_validate_json((GOLDEN / "JobFailed.json").read_text()))
    assert states() == ["accepted", "horde_failed"]


def test_further_columns_are_set_with_something_new_only():
    Job.apply(ACCEPTED, note="first")
    Job.apply(ACCEPTED, note="second")
    assert Job.objects.get().note == "first"


def test_nobody_s_job_cannot_be_moved():
    with pytest.raises(Job.DoesNotExist):
        Job.apply(messages.JobAccepted(job_uuid=JOB.replace("3", "4")))


def test_many_who_hear_the_same_at_once_write_it_once():
    def hear(_: int) -> int:
        try:
            return len(Job.apply(ACCEPTED)[1])
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(hear, range(6))) == [0, 0, 0, 0, 0, 1]
    assert states() == ["accepted"]


def test_a_writer_that_knows_the_state_writes_the_same_in_one_statement():
    with CaptureQueriesContext(connection) as queries:
        assert Job.apply_after(S.RECEIVED, ACCEPTED, READY, note="first") == S.EXECUTOR_READY
        assert Job.apply_after(S.EXECUTOR_READY, READY, note="never") == S.EXECUTOR_READY
        assert Job.apply_after(S.EXECUTOR_READY, SPECS, VOLUMES) == S.VOLUMES_READY
    assert len(queries) == 2
    stored = Job.objects.get()
    assert (stored.state, stored.note) == ("volumes_ready", "first")
    assert states() == ["accepted", "executor_ready", "executor_ready", "volumes_ready"]
    assert stored.events.last().body == VOLUMES.encode()
    with pytest.raises(IllegalTransition):
        Job.apply_after(S.VOLUMES_READY, FINISHED)


def test_a_statement_whose_outcome_was_lost_is_harmless_to_repeat():
    assert Job.apply_after(S.RECEIVED, ACCEPTED, READY) == S.EXECUTOR_READY
    assert Job.apply_after(S.RECEIVED, ACCEPTED, READY) == S.EXECUTOR_READY
    assert states() == ["accepted", "executor_ready"]
    assert Job.apply_after(S.ACCEPTED, READY, VOLUMES) == S.VOLUMES_READY
    assert states() == ["accepted", "executor_ready", "volumes_ready"]
    with pytest.raises(Job.DoesNotExist):
        Job.apply_after(S.RECEIVED, messages.JobAccepted(job_uuid=JOB.replace("3", "4")))


def test_a_row_is_stored_with_its_first_events_in_one_statement():
    new = Job(uuid=JOB.replace("3", "4"), state=S.SENT, note="new")
    with CaptureQueriesContext(connection) as queries:
        first, second = new.insert((S.SENT, SPECS), (S.RECEIVED, ACCEPTED))
    assert len(queries) == 1
    stored = Job.objects.get(pk=new.pk)
    assert (stored.state, stored.note, stored.created_at) == ("sent", "new", new.created_at)
    assert [(one.pk, one.body) for one in stored.events.all()] == [
        (first.pk, SPECS.encode()),
        (second.pk, ACCEPTED.encode()),
    ]
    with pytest.raises(IntegrityError), transaction.atomic():
        Job(uuid=new.pk, state=S.SENT).insert((S.SENT, SPECS))
    assert stored.events.count() == 2


def test_many_who_report_the_same_at_once_write_it_once():
    Job.objects.update(state=S.VOLUMES_READY)

    def report(number: int) -> list[str]:
        states = [S.ACCEPTED, S.EXECUTOR_READY, S.COMPLETED]
        sent = [(state, StatusReported(uuid=JOB, status=state)) for state in states[number % 3 :]]
        try:
            return [event.state for event in Job.report(JOB, *sent)[1]]
        finally:
            connection.close()

    with ThreadPoolExecutor(9) as pool:
        written = [state for states in pool.map(report, range(18)) for state in states]
    assert sorted(written) == sorted(states()) == ["accepted", "completed", "executor_ready"]
    assert Job.objects.get().state == "completed"


def reported(*states: S) -> tuple[str, list[str]]:
    sent = [(state, StatusReported(uuid=JOB, status=state)) for state in states]
    job, events = Job.report(JOB, *sent)
    assert job.state == Job.objects.get().state
    return job.state, [event.state for event in events]


def test_a_report_may_skip_states_and_a_late_one_is_kept_without_moving_back():
    assert reported(S.VOLUMES_READY) == ("volumes_ready", ["volumes_ready"])
    assert reported(S.ACCEPTED) == ("volumes_ready", ["accepted"])
    assert reported(S.COMPLETED) == ("completed", ["completed"])
    assert reported(S.EXECUTION_DONE) == ("completed", ["execution_done"])
    assert states() == ["volumes_ready", "accepted", "completed", "execution_done"]


def test_many_reports_are_written_in_the_order_told():
    assert reported(S.ACCEPTED, S.COMPLETED, S.ACCEPTED, S.VOLUMES_READY) == (
        "completed",
        ["accepted", "completed", "volumes_ready"],
    )


def test_a_report_heard_again_changes_nothing():
    assert reported(S.ACCEPTED) == ("accepted", ["accepted"])
    assert reported(S.ACCEPTED) == ("accepted", [])
    reported(S.VOLUMES_READY)
    assert reported(S.ACCEPTED) == ("volumes_ready", [])


def test_a_word_of_a_newer_peer_changes_nothing():
    assert reported(S.UNKNOWN) == ("received", [])
    assert states() == []


def test_a_second_ending_is_left_out_and_what_was_told_with_it_is_not():
    assert reported(S.ACCEPTED, S.FAILED, S.COMPLETED, S.EXECUTOR_READY) == (
        "failed",
        ["accepted", "failed", "executor_ready"],
    )


def test_a_report_on_another_owner_s_job_finds_none():
    sent = (S.ACCEPTED, StatusReported(uuid=JOB, status=S.ACCEPTED))
    with pytest.raises(Job.DoesNotExist):
        Job.report(JOB, sent, note="theirs")
    assert states() == []
    assert Job.report(JOB, sent, note="")[0].state == "accepted"


def test_a_job_and_its_events_say_what_they_are():
    _, events = Job.apply(ACCEPTED)
    assert str(Job.objects.get()) == f"{JOB} accepted"
    assert str(events[0]).endswith(" accepted")


def test_listeners_are_told_of_what_was_committed_only():
    with aside() as line:
        line.execute("LISTEN jobs")
        with transaction.atomic():
            notify("jobs", "never")
            transaction.set_rollback(True)
        with transaction.atomic():
            notify("jobs", JOB)
            assert list(line.notifies(timeout=0.05)) == []
        sent = [notice.payload for notice in line.notifies(timeout=30, stop_after=1)]
    assert sent == [JOB]


def test_what_cannot_be_a_fact_about_a_job_is_only_logged():
    assert not hasattr(GenericError(), "job_uuid")
    assert [event.state for event in Job.apply(SPECS)[1]] == ["received"]
