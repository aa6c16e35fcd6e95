"""Database queries of the listener; none of them writes."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from compute_horde.lifecycle import UNFINISHED
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.protocol.status import StatusReported
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt
from compute_horde.vocabulary import JobState, Party, ReceiptType
from validator.facilitator import status_reports
from validator.facilitator.waiting_statuses import Stored
from validator.jobs.interval_receipts import EXECUTING, WorkProgress
from validator.jobs.models import AllowedSigner, BindingSigner, Job, JobEvent
from validator.receipts.models import IssuedReceipt
from validator.receipts.signing import SignedReceipt

WORKING = EXECUTING | {JobState.EXECUTION_DONE}
LISTENER_KINDS = (Job.Kind.ORGANIC, Job.Kind.ADMIN)


def allowed_signers() -> set[str]:
    """The stored hotkeys whose jobs are accepted."""
    return set(AllowedSigner.objects.values_list("hotkey", flat=True))


def binding_signers() -> set[str]:
    """The hotkeys whose requests must be bound to this validator."""
    return set(BindingSigner.objects.values_list("hotkey", flat=True))


def unfinished(known: Collection[str]) -> list[Job]:
    """Unfinished jobs for the listener, except the `known` ones, oldest first."""
    rows = Job.objects.filter(kind__in=LISTENER_KINDS, state__in=UNFINISHED)
    new = {str(uuid) for uuid in rows.values_list("pk", flat=True)}.difference(known)
    return _with_receipts(list(rows.filter(pk__in=new).order_by("created_at")))


def job(uuid: str) -> Job | None:
    """A job by UUID."""
    return next(iter(_with_receipts(list(Job.objects.filter(pk=uuid)))), None)


def cancel_requests(among: Collection[str]) -> list[tuple[str, datetime]]:
    """Which of these jobs were asked to be cancelled, and when."""
    rows = Job.objects.filter(pk__in=among).exclude(cancel_asked_at=None)
    return [(str(uuid), at) for uuid, at in rows.values_list("pk", "cancel_asked_at") if at]


def stored_statuses(uuid: str) -> list[Stored]:
    """Keys of every status of a job so far, to be read with `read_status`."""
    states = JobEvent.objects.filter(job_id=uuid).values_list("state", flat=True)
    return [Stored(uuid, state) for state in (JobState.RECEIVED, *map(JobState, states))]


def read_status(stored: Stored) -> StatusReported | None:
    """One status of a job; None when its rows were deleted."""
    if stored.status is JobState.RECEIVED:
        return status_reports.status(stored.uuid, JobState.RECEIVED, None, Party.VALIDATOR)
    event = JobEvent.objects.filter(job_id=stored.uuid, state=stored.status).first()
    return _status(event) if event else None


def unacknowledged() -> dict[str, str]:
    """Users' jobs whose end the facilitator did not acknowledge, oldest first: UUID to miner."""
    rows = Job.objects.filter(kind=Job.Kind.ORGANIC, told=False).order_by("created_at")
    return {str(uuid): miner for uuid, miner in rows.values_list("pk", "miner")}


def finished_receipt(uuid: str, miner: str) -> FinishedReceiptIssued | None:
    """The stored finished receipt of a job at a miner."""
    row = IssuedReceipt.objects.filter(
        job_uuid=uuid, miner_hotkey=miner, receipt_type=ReceiptType.FINISHED
    ).first()
    if row is None:
        return None
    payload = JobFinishedReceipt.model_validate_json(row.payload)
    return FinishedReceiptIssued(payload=payload, signature=row.signature)


def _with_receipts(rows: list[Job]) -> list[Job]:
    """Add what receipts tell: the miners a job was offered to, or the progress of its work."""
    _add_offers({row.pk: row for row in rows if row.job_state is JobState.RECEIVED})
    _add_progress({row.pk: row for row in rows if row.job_state in WORKING})
    return rows


def _add_offers(jobs: dict[UUID, Job]) -> None:
    started = _receipts(jobs, ReceiptType.STARTED).order_by("id")
    for uuid, miner in started.values_list("job_uuid", "miner_hotkey"):
        jobs[uuid].offered_to = [*jobs[uuid].offered_to, miner]


def _add_progress(jobs: dict[UUID, Job]) -> None:
    progress = {uuid: WorkProgress() for uuid in jobs}
    events = JobEvent.objects.filter(job_id__in=list(jobs), state__in=EXECUTING).order_by("-id")
    for uuid, created_at in events.values_list("job_id", "created_at"):
        progress[uuid].since = created_at
    intervals = (
        _receipts(jobs, ReceiptType.INTERVAL)
        .order_by("interval")
        .values_list("job_uuid", "miner_hotkey", "payload", "signature")
    )
    # Long jobs have thousands, of which few are kept.
    for uuid, miner, text, signature in intervals.iterator():
        if miner == jobs[uuid].miner:
            payload = JobIntervalReceipt.model_validate_json(text)
            progress[uuid].add(SignedReceipt(payload, signature))
    for uuid, job in jobs.items():
        job.work_progress = progress[uuid]


def _receipts(jobs: Collection[UUID], receipt_type: ReceiptType) -> QuerySet[IssuedReceipt]:
    return IssuedReceipt.objects.filter(job_uuid__in=list(jobs), receipt_type=receipt_type)


def _status(event: JobEvent) -> StatusReported:
    message = MINER_TO_VALIDATOR.decode(event.body)
    return status_reports.status(
        str(event.job_id), JobState(event.state), message, Party(event.said_by)
    )
