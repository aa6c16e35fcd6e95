"""Database reads and writes of accepted jobs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError
from django.db.models import Exists, OuterRef, Q

from compute_horde import lifecycle
from compute_horde.django.eviction import delete_in_batches
from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.job import HordeFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason, JobState, Party, ReceiptType
from miner.jobs import rules
from miner.jobs.live_job import LiveJob
from miner.jobs.models import Job, JobEvent
from miner.jobs.validator_sockets import Parties
from miner.receipts.models import Receipt


def new_row(job: LiveJob, token: str) -> Job:
    """The row of a new job."""
    return Job(
        uuid=job.uuid,
        state=JobState.RECEIVED,
        miner_hotkey=job.miner.ss58_address,
        validator_hotkey=job.validator,
        executor_class=job.offered.executor_class,
        executor_token=sha256(token.encode()).hexdigest(),
        offer_digest=rules.digest(job.offered),
        docker_image=replace_nul(job.offered.docker_image or ""),
        offered=rules.redacted(job.offered),
    )


def store(row: Job) -> bool:
    """Insert a job; False if its UUID is already known.

    True also if an earlier attempt inserted the row, but its result was lost.
    """
    try:
        row.save(force_insert=True)
    except IntegrityError:
        return Job.objects.filter(pk=row.pk, executor_token=row.executor_token).exists()
    return True


def find(uuid: str) -> Job | None:
    """The row of a job, or None if this miner never accepted it."""
    return Job.objects.filter(pk=uuid).first()


def write(state: JobState, messages: Sequence[JobMessage], fields: dict[str, Any]) -> JobState:
    """Apply messages to their job, whose row is in `state`, in one statement; its new state."""
    return Job.apply_after(state, *messages, **fields)


def unclosed(parties: Parties, ended_after: datetime) -> list[str]:
    """Jobs of `parties` that the validator has not closed with a finished receipt, oldest first.

    Of ended jobs, only those that ended after `ended_after`.
    """
    closed = Receipt.objects.filter(
        job_uuid=OuterRef("pk"),
        validator_hotkey=parties.validator,
        receipt_type=ReceiptType.FINISHED,
    )
    active = Q(state__in=lifecycle.UNFINISHED)
    rows = Job.objects.filter(
        ~Exists(closed),
        active | Q(state_since__gte=ended_after),
        miner_hotkey=parties.miner,
        validator_hotkey=parties.validator,
    )
    return [str(pk) for pk in rows.order_by("created_at").values_list("pk", flat=True)]


def messages_of(uuid: str) -> list[str]:
    """The messages about a job, as they were sent."""
    return list(JobEvent.objects.filter(job_id=uuid).values_list("body", flat=True))


def end_unfinished() -> list[str]:
    """End the jobs that an earlier process left unfinished; returns their UUIDs."""
    unfinished = Job.objects.filter(state__in=lifecycle.UNFINISHED)
    ended = []
    for uuid, state in unfinished.values_list("pk", "state"):
        lost = HordeFailed(
            job_uuid=str(uuid),
            reported_by=Party.MINER,
            reason=HordeReason.GENERIC_ERROR,
            message=f"The miner restarted while the job was {JobState(state)}",
        )
        fields = {"error_type": str(lost.reason), "error_detail": lost.message}
        Job.apply_after(JobState(state), lost, **fields)
        ended.append(str(uuid))
    return ended


def evict(before: datetime) -> int:
    """Delete jobs that ended before a time; returns how many."""
    # Created before it ended: an index finds these.
    old = Job.objects.filter(created_at__lt=before, state_since__lt=before)
    return delete_in_batches(old.filter(state__in=lifecycle.FINAL))


def duration(seconds: float) -> timedelta:
    """A duration with the precision of the database."""
    return timedelta(seconds=round(seconds, 6))
