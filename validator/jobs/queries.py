"""What the listener reads; each harmless to repeat."""

from collections.abc import Collection
from datetime import datetime

from compute_horde.lifecycle import FINAL
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt
from compute_horde.vocabulary import JobState, Party, ReceiptType
from validator.jobs import reports
from validator.jobs.conversation import Issued
from validator.jobs.intervals import EXECUTING, Worked
from validator.jobs.models import AllowedSigner, Job, JobEvent
from validator.receipts.models import IssuedReceipt

CONDUCTED = (Job.Kind.ORGANIC, Job.Kind.ADMIN)


def allowed_signers() -> set[str]:
    """Whose jobs we take."""
    return set(AllowedSigner.objects.values_list("hotkey", flat=True))


def unfinished(known: Collection[str]) -> list[Job]:
    """Jobs that somebody must conduct and nobody here does."""
    rows = Job.objects.filter(kind__in=CONDUCTED).exclude(state__in=FINAL)
    return [_with_work(row) for row in rows.exclude(pk__in=known).order_by("created_at")]


def job(uuid: str) -> Job | None:
    """A job by name."""
    row = Job.objects.filter(pk=uuid).first()
    return _with_work(row) if row else None


def cancels(among: Collection[str]) -> list[tuple[str, datetime]]:
    """Which of these jobs somebody wants ended, and since when."""
    rows = Job.objects.filter(pk__in=among).exclude(cancel_asked_at=None)
    return [(str(uuid), at) for uuid, at in rows.values_list("pk", "cancel_asked_at")]


def statuses(uuid: str) -> list[StatusReported]:
    """All that the facilitator should know of a job so far."""
    return [
        reports.status(uuid, JobState.RECEIVED, None, Party.VALIDATOR),
        *(_status(event) for event in JobEvent.objects.filter(job_id=uuid)),
    ]


def untold() -> dict[str, str]:
    """Users' jobs whose end the facilitator did not acknowledge, oldest first, and their miners."""
    rows = Job.objects.filter(kind=Job.Kind.ORGANIC, told=False).order_by("created_at")
    return {str(uuid): miner for uuid, miner in rows.values_list("pk", "miner")}


def finished_receipt(uuid: str, miner: str) -> FinishedReceiptIssued | None:
    """The end of a job as its miner was, or should have been, told."""
    row = IssuedReceipt.objects.filter(
        job_uuid=uuid, miner_hotkey=miner, receipt_type=ReceiptType.FINISHED
    ).first()
    if row is None:
        return None
    payload = JobFinishedReceipt.model_validate_json(row.payload)
    return FinishedReceiptIssued(payload=payload, signature=row.signature)


def _with_work(row: Job) -> Job:
    """The job and, once it executes, how far its work is accounted for."""
    if row.job_state not in EXECUTING | {JobState.EXECUTION_DONE}:
        return row
    events = JobEvent.objects.filter(job_id=row.pk, state__in=EXECUTING)
    row.worked = Worked(events.order_by("id").values_list("created_at", flat=True).first())
    intervals = IssuedReceipt.objects.filter(
        job_uuid=row.pk, miner_hotkey=row.miner, receipt_type=ReceiptType.INTERVAL
    )
    for text, signature in intervals.order_by("interval").values_list("payload", "signature"):
        row.worked.add(Issued(JobIntervalReceipt.model_validate_json(text), signature))
    return row


def _status(event: JobEvent) -> StatusReported:
    message = MINER_TO_VALIDATOR.decode(event.body)
    return reports.status(str(event.job_id), JobState(event.state), message, Party(event.said_by))
