"""The database's part of a job: stored, moved, looked up, forgotten."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError
from django.db.models import Exists, OuterRef, Q

from compute_horde import lifecycle
from compute_horde.protocol.job import HordeFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason, JobState, Party, ReceiptType
from miner.jobs import rules
from miner.jobs.live import LiveJob
from miner.jobs.models import Job, JobEvent
from miner.receipts.models import Receipt


def row_of(job: LiveJob, token: str) -> Job:
    """The row a job starts as."""
    return Job(
        uuid=job.uuid,
        state=JobState.RECEIVED,
        validator_hotkey=job.validator,
        executor_class=job.offered.executor_class,
        executor_token=sha256(token.encode()).hexdigest(),
        offer_digest=rules.digest(job.offered),
        docker_image=rules.plain(job.offered.docker_image or ""),
        offered=rules.outline(job.offered),
    )


def store(row: Job) -> bool:
    """Insert a job; False when its uuid is not new.

    Our own row, inserted by an attempt whose answer was lost, counts as new.
    """
    try:
        row.save(force_insert=True)
    except IntegrityError:
        return Job.objects.filter(pk=row.pk, executor_token=row.executor_token).exists()
    return True


def seen(uuid: str) -> Job | None:
    """The row of a job, if this miner ever accepted it."""
    return Job.objects.filter(pk=uuid).first()


def write(facts: Sequence[JobMessage], fields: dict[str, Any]) -> None:
    """Record facts about one job, in one transaction."""
    Job.hear(*facts, **fields)


def pending(validator: str, ended_after: datetime) -> list[str]:
    """Jobs that a validator has not closed with a finished receipt, oldest first.

    Of those that are over only the recent ones: nobody waits for the others any more.
    """
    closed = Receipt.objects.filter(
        job_uuid=OuterRef("pk"),
        validator_hotkey=validator,
        receipt_type=ReceiptType.FINISHED,
    )
    going_on = ~Q(state__in=lifecycle.FINAL)
    rows = Job.objects.filter(
        ~Exists(closed),
        going_on | Q(state_since__gte=ended_after),
        validator_hotkey=validator,
    )
    return [str(pk) for pk in rows.order_by("created_at").values_list("pk", flat=True)]


def facts_of(uuid: str) -> list[str]:
    """What was said of a job, as it was sent."""
    return list(JobEvent.objects.filter(job_id=uuid).values_list("body", flat=True))


def end_unfinished() -> list[str]:
    """After a start: jobs whose executors died with our last life end here; their uuids."""
    unfinished = Job.objects.exclude(state__in=lifecycle.FINAL)
    ended = []
    for uuid, state in unfinished.values_list("pk", "state"):
        lost = HordeFailed(
            job_uuid=str(uuid),
            reported_by=Party.MINER,
            reason=HordeReason.GENERIC_ERROR,
            message=f"The miner restarted while the job was {JobState(state)}",
        )
        fields = {"error_type": str(lost.reason), "error_detail": lost.message}
        Job.hear(lost, **fields)
        ended.append(str(uuid))
    return ended


def evict(before: datetime) -> int:
    """Forget jobs that ended before a time; how many."""
    over = Job.objects.filter(state__in=lifecycle.FINAL, state_since__lt=before)
    return over.delete()[1].get(Job._meta.label, 0)


def took(seconds: float) -> timedelta:
    """A duration as the row keeps it."""
    return timedelta(seconds=round(seconds, 6))
