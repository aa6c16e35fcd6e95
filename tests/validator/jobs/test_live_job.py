"""A running job's state in memory, and the rows made of it."""

from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.errors import Cancelled, HordeError, RejectionError
from compute_horde.lifecycle import IllegalTransition
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobAccepted, JobDeclined
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason
from compute_horde.volumes import InlineVolume
from tests.peers.keys import USER
from tests.peers.user import request
from validator.jobs.interval_receipts import WorkProgress
from validator.jobs.live_job import REJECTED_SPEC_CHARACTERS, LiveJob
from validator.jobs.models import Job
from validator.jobs.store import Event

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def live(**fields) -> LiveJob:
    return LiveJob(request(**fields), Job.Kind.ORGANIC)


def accepted(job: LiveJob) -> Event:
    return Event(JobState.ACCEPTED, JobAccepted(job_uuid=job.uuid), Party.MINER)


def test_a_transition_moves_the_job_and_begins_where_it_was() -> None:
    job = live()
    job.miner = "5M"
    first = job.transition(accepted(job))
    assert (first.before, first.after, first.miner) == (JobState.RECEIVED, JobState.ACCEPTED, "5M")
    assert job.state is JobState.ACCEPTED
    second = job.transition()
    assert (second.before, second.after) == (JobState.ACCEPTED, JobState.ACCEPTED)
    declined = JobDeclined(job_uuid=job.uuid)
    with pytest.raises(IllegalTransition):
        job.transition(Event(JobState.REJECTED, declined, Party.MINER))
    assert job.state is JobState.ACCEPTED


def test_a_job_is_read_from_its_row_as_it_was() -> None:
    job = live()
    row = job.row("digest")
    row.state, row.miner, row.deadline, row.accepted_at = "accepted", "5M", NOW, NOW
    row.offered_to, row.work_progress = ["5L", "5M"], WorkProgress(NOW)
    read = LiveJob.from_row(row)
    assert (read.request, read.kind, read.state) == (job.request, job.kind, JobState.ACCEPTED)
    assert (read.miner, read.deadline, read.accepted_at) == ("5M", NOW, NOW)
    assert (read.offered_to, read.work_progress) == ({"5L", "5M"}, WorkProgress(NOW))
    assert not read.cancelled.is_set()
    row.cancel_asked_at = NOW
    cancelled = LiveJob.from_row(row)
    assert cancelled.cancelled.is_set()
    assert cancelled.cancelled_at == NOW


def test_the_first_cancel_request_counts() -> None:
    job = live()
    job.cancel(NOW)
    job.cancel(NOW + timedelta(seconds=5))
    assert job.cancelled_at == NOW
    assert job.cancelled.is_set()


def test_miners_that_declined_are_not_asked_again() -> None:
    job = live()
    job.wanted_miner = "5W"
    job.excluded.add("5M")
    wanted = job.placement
    assert (wanted.job_uuid, wanted.miner) == (job.uuid, "5W")
    assert not wanted.excluding(["5W"]).allows("5W")
    job.wanted_miner = ""
    assert [job.placement.allows(hotkey) for hotkey in ("5M", "5N")] == [False, True]


@pytest.mark.parametrize(
    ("problem", "state", "kind"),
    [
        (RejectionError(RejectionReason.BUSY, "all busy"), JobState.REJECTED, JobDeclined),
        (HordeError(HordeReason.GENERIC_ERROR, "x"), JobState.HORDE_FAILED, HordeFailed),
        (Cancelled("x"), JobState.CANCELLED, JobCancelled),
    ],
)
def test_the_validator_s_own_end_of_a_job_says_why(problem, state, kind) -> None:
    job = live()
    event = job.ending_event(problem)
    assert (event.state, type(event.message), event.sent_by) == (state, kind, Party.VALIDATOR)
    assert event.message.job_uuid == job.uuid
    assert str(problem) in event.message.encode()
    assert job.transition(event).after is state


def test_a_row_holds_the_request_as_it_was_sent() -> None:
    job = live(docker_image="x" * 600 + "\0")
    row = job.row("digest", "nonce")
    assert (row.request, row.signatory) == (job.request, USER.ss58_address)
    assert (row.request_digest, row.nonce_digest) == ("digest", "nonce")
    assert row.docker_image == "x" * 512
    assert LiveJob(request(signer=None), Job.Kind.ADMIN).row(None).signatory == ""


def test_a_small_refused_job_is_kept_whole() -> None:
    job = live()
    assert job.rejected_row().request == job.request


def test_of_a_large_refused_job_what_is_long_goes_first() -> None:
    volume = InlineVolume(contents="x" * 10**6)
    job = live(volume=volume, args=["y" * 10**5], env={"A": "z" * 10**5})
    row = job.rejected_row()
    assert len(row.spec) <= REJECTED_SPEC_CHARACTERS
    kept = row.request
    assert (kept.volume, kept.args, kept.env) == (None, [], {})
    assert (kept.signature, kept.docker_image) == (job.request.signature, job.request.docker_image)


def test_a_refused_job_that_is_long_everywhere_is_cut_everywhere() -> None:
    job = live(docker_image="i" * 10**5, job_namespace="n" * 10**5, args=["y" * 10**5])
    row = job.rejected_row()
    assert len(row.spec) <= REJECTED_SPEC_CHARACTERS
    assert (row.request.docker_image, row.request.job_namespace) == ("i" * 512, None)
    assert row.request.signature is None
