"""Database access for jobs. Every function is harmless to repeat and leaves nothing half done."""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q, QuerySet

from compute_horde.django.eviction import delete_batch
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.jobs import bindings
from facilitator.jobs.client_features import ClientFeatures, status_for_client
from facilitator.jobs.rules import UNFINISHED, StatusEvent, job_object
from facilitator.models import CheatReport, Job, JobEvent, SpentNonce, Validator
from facilitator.web.errors import ApiError

EVICT_BATCH_ROWS = 50
# The number of a user's jobs is counted up to this.
COUNTED_JOBS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobSubmission:
    """A validated request to run a job.

    `frame` is the message for the validator, `digest` the hash of what the user signed, by which a
    replay is found, and `body_hash` that of the HTTP body, compared when a key is used again.
    """

    hotkey: str
    validator: str
    request: JobRequested
    frame: str
    tag: str
    digest: str
    body_hash: str
    idempotency_key: str | None
    overdue_at: datetime


def count_unfinished(hotkey: str) -> int:
    """The number of unfinished jobs of a user."""
    return Job.objects.filter(hotkey=hotkey, state__in=UNFINISHED).count()


def use_nonce(nonce: str) -> bool:
    """Mark a login nonce as used; False when it was used before."""
    _, is_new = SpentNonce.objects.get_or_create(nonce=nonce)
    return is_new


def find_earlier(submission: JobSubmission) -> Job | None:
    """The job created earlier with the same idempotency key, or None.

    Raises `ApiError` 422 when the key was used with another body.
    """
    if not submission.idempotency_key:
        return None
    job = Job.objects.filter(
        hotkey=submission.hotkey, idempotency_key=submission.idempotency_key
    ).first()
    if job and job.body_hash != submission.body_hash:
        details = f"it was used for job {job.uuid}, whose body was different"
        raise ApiError(422, {"error": "Idempotency-Key already used", "details": details})
    return job


def create(submission: JobSubmission, taken_by: str) -> tuple[Job, StatusEvent | None]:
    """Store a job as sent, to connection `taken_by`; its row, and its first status if it is new.

    The table's unique constraints decide between concurrent requests. Raises `ApiError` for a
    replayed or unbound request, a reused key and an unknown validator.
    """
    bindings.require_binding(submission.request, submission.hotkey)
    try:
        job = _job_row(submission, taken_by)
        sent = StatusReported(uuid=submission.request.uuid, status=JobState.SENT)
        [event] = job.insert((JobState.SENT, sent))
        return job, StatusEvent(event.id, event.created_at, sent)
    except IntegrityError as exc:
        return _existing_job(submission, exc)


def _existing_job(
    submission: JobSubmission, problem: IntegrityError
) -> tuple[Job, StatusEvent | None]:
    request = submission.request
    # Of this very request: an attempt before this one was committed, and its outcome lost.
    own = Job.objects.filter(uuid=request.uuid, digest=submission.digest, hotkey=submission.hotkey)
    if job := own.first():
        return job, status_events(job.events.all())[0]
    if job := find_earlier(submission):
        return job, None
    used = Q(digest=submission.digest)
    if submission.request.binding:
        used |= Q(request_nonce=submission.request.binding.nonce)
    job = Job.objects.filter(used, hotkey=submission.hotkey).first()
    if job is None:
        raise no_validator() from problem
    details = f"this signed request already made job {job.uuid}; sign a new one"
    raise ApiError(400, {"error": "replayed", "details": details}) from problem


def _job_row(submission: JobSubmission, taken_by: str) -> Job:
    return Job(
        uuid=submission.request.uuid,
        state=JobState.SENT,
        hotkey=submission.hotkey,
        validator_id=submission.validator,
        request=submission.frame,
        tag=submission.tag,
        on_trusted_miner=submission.request.on_trusted_miner,
        digest=submission.digest,
        request_nonce=submission.request.binding.nonce if submission.request.binding else None,
        idempotency_key=submission.idempotency_key,
        body_hash=submission.body_hash,
        taken_by=taken_by,
        overdue_at=submission.overdue_at,
    )


def no_validator() -> ApiError:
    """The error for a validator that is unknown or not connected."""
    return ApiError(400, ["Could not select Validator"])


def status_events(events: Iterable[JobEvent]) -> list[StatusEvent]:
    """Parses stored statuses; of an unreadable one only the state is kept."""
    return [StatusEvent(event.id, event.created_at, _report(event)) for event in events]


def _report(event: JobEvent) -> StatusReported:
    try:
        return StatusReported.model_validate_json(event.body)
    except ValueError:
        log.error("stored status cannot be parsed", extra={"job": str(event.job_id)})
        return StatusReported(uuid=str(event.job_id), status=JobState(event.state))


def job_view(job: Job, statuses: Sequence[StatusEvent], client: ClientFeatures) -> dict[str, Any]:
    """The job as the API returns it to this client; without the request's fields if unreadable."""
    try:
        request = JobRequested.model_validate_json(job.request)
    except ValueError:
        log.error("stored request cannot be parsed", extra={"job": str(job.uuid)})
        request = None
    return job_object(
        request,
        str(job.uuid),
        [status_for_client(client, one) for one in statuses],
        created_at=job.created_at,
        validator=job.validator_id,
        tag=job.tag,
    )


def full_job_view(job: Job, client: ClientFeatures) -> dict[str, Any] | None:
    """The job as the API returns it, with all its statuses; None when it was deleted meanwhile."""
    statuses = status_events(job.events.all())
    return job_view(job, statuses, client) if statuses else None


def own_job(uuid: str, hotkey: str, client: ClientFeatures) -> dict[str, Any] | None:
    """A job of this user as the API returns it, or None."""
    job = Job.objects.filter(uuid=uuid, hotkey=hotkey).first()
    return full_job_view(job, client) if job else None


def own_statuses(uuid: str, hotkey: str) -> tuple[str, list[StatusEvent]] | None:
    """The validator's hotkey and all statuses of a job of this user, or None."""
    events = JobEvent.objects.filter(job_id=uuid, job__hotkey=hotkey)
    found = list(events.annotate(validator=F("job__validator_id")))
    return (found[0].validator, status_events(found)) if found else None


def latest_events(uuids: Collection[str]) -> dict[str, int]:
    """The id of the latest status of each of these jobs that exists."""
    events = JobEvent.objects.filter(job_id__in=uuids).order_by()
    found = events.values_list("job_id").annotate(latest=Max("id"))
    return {str(uuid): latest for uuid, latest in found}


def own_jobs(
    hotkey: str, uuids: Sequence[str], tag: str | None, *, first: int, size: int
) -> tuple[int, list[UUID]]:
    """The number of matching jobs of a user, and the UUIDs of one page of them, newest first.

    Above `COUNTED_JOBS` the number is an estimate, exact again on the last page; it is greater
    than `first + size` exactly if there is a further page.
    """
    jobs = Job.objects.filter(hotkey=hotkey).order_by("-created_at", "uuid")
    if uuids:
        jobs = jobs.filter(uuid__in=uuids)
    if tag is not None:
        jobs = jobs.filter(tag=tag)
    uuids_found = jobs.values_list("uuid", flat=True)
    count = uuids_found[: COUNTED_JOBS + 1].count()
    if count <= COUNTED_JOBS:
        return count, list(uuids_found[first : first + size]) if first < count else []
    page = list(uuids_found[first : first + size + 1])
    reached = first + len(page)
    has_more = not page or len(page) > size
    return max(reached, count, _estimate(jobs)) if has_more else reached, page[:size]


def _estimate(jobs: QuerySet[Job]) -> int:
    """How many rows the database expects; from its statistics, without reading the rows."""
    [plan] = json.loads(jobs.order_by().explain(format="json"))
    return int(plan["Plan"]["Plan Rows"])


def job_views_json(uuids: Sequence[UUID], client: ClientFeatures) -> list[str]:
    """These jobs in this order, each as JSON text; deleted ones are left out."""
    jobs = Job.objects.prefetch_related("events").in_bulk(uuids)
    found = (full_job_view(jobs[uuid], client) for uuid in uuids if uuid in jobs)
    return [json.dumps(view, cls=DjangoJSONEncoder) for view in found if view]


def record_statuses(
    uuid: str, hotkey: str, statuses: Sequence[StatusReported], received_at: Sequence[datetime]
) -> list[StatusEvent] | None:
    """Store reports of a validator about its own job; the new ones, or None for no such job."""
    by_state = {one.status: one for one in reversed(statuses)}
    when = {
        one.status: at for one, at in zip(reversed(statuses), reversed(received_at), strict=True)
    }
    try:
        reports = [(one.status, one) for one in statuses]
        _, events = Job.report(uuid, *reports, when=when, validator_id=hotkey)
    except Job.DoesNotExist:
        return None
    return [
        StatusEvent(event.id, event.created_at, by_state[JobState(event.state)]) for event in events
    ]


def claim_jobs(hotkey: str, connection: str, holders: Sequence[str], limit: int) -> list[str]:
    """Assign jobs held by none of the connections `holders` to `connection`; their frames.

    Rows are locked and locked ones skipped, so each job is assigned to one connection.
    """
    with transaction.atomic():
        waiting = (
            Job.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(validator_id=hotkey, state=JobState.SENT)
            .exclude(taken_by__in=holders)
            .order_by("created_at")[:limit]
        )
        jobs = list(waiting)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(taken_by=connection)
        return [job.request for job in jobs]


def report_cheat(hotkey: str, report: CheatReported) -> str:
    """Store a cheat report about two of the user's jobs; the hotkey of the validator to inform.

    Raises `ApiError` when there is no such job, or one was reported before.
    """
    mine = Job.objects.filter(hotkey=hotkey)
    job = mine.filter(uuid=report.job_uuid, on_trusted_miner=False).first()
    if job is None:
        raise ApiError(404, {"error": "Job not found"})
    if not mine.filter(uuid=report.trusted_job_uuid, on_trusted_miner=True).exists():
        raise ApiError(404, {"error": "Trusted job not found"})
    fields = {"trusted_job_id": report.trusted_job_uuid, "message": report.encode()}
    _, is_new = CheatReport.objects.get_or_create(job=job, defaults=fields)
    if not is_new:
        raise ApiError(400, {"error": "Cheat report already exists for this job"})
    return job.validator_id


def unsent_cheat_reports(hotkey: str, limit: int) -> dict[int, str]:
    """Cheat reports that may not have reached the validator yet, by key."""
    waiting = CheatReport.objects.filter(job__validator_id=hotkey, is_told=False)
    return dict(waiting.order_by("pk").values_list("pk", "message")[:limit])


def mark_cheat_reports_sent(keys: Collection[int]) -> None:
    """Store that these cheat reports reached the validator."""
    CheatReport.objects.filter(pk__in=keys).update(is_told=True)


@dataclass(frozen=True, slots=True)
class StuckJob:
    """An unfinished job that is not expected to make progress."""

    uuid: str
    validator: str
    state: JobState


def validators() -> dict[str, bool]:
    """All validators by hotkey, and whether they may connect."""
    return dict(Validator.objects.values_list("hotkey", "is_active"))


def find_stuck_jobs(
    *, absent: Iterable[str], now: datetime, grace_period: timedelta
) -> list[StuckJob]:
    """Unfinished jobs that are stuck.

    These were not received within `grace_period`, belong to `absent` validators, or are overdue.
    """
    too_old = Q(state=JobState.SENT, created_at__lt=now - grace_period)
    left = Q(validator_id__in=list(absent), created_at__lt=now - grace_period)
    jobs = Job.objects.filter(
        too_old | left | Q(overdue_at__lt=now), state__in=UNFINISHED
    ).values_list("uuid", "validator_id", "state")
    return [StuckJob(str(uuid), hotkey, JobState(state)) for uuid, hotkey, state in jobs]


def evict(*, now: datetime, keep: timedelta, keep_nonces: timedelta) -> int:
    """Delete one batch of old finished jobs, and old nonces; the number of deleted jobs."""
    SpentNonce.objects.filter(spent_at__lt=now - keep_nonces).delete()
    # `state_since` too, so that the owner of a long job has time to read its result.
    old = Job.objects.filter(created_at__lt=now - keep, state_since__lt=now - keep)
    return delete_batch(old.exclude(state__in=UNFINISHED), batch_rows=EVICT_BATCH_ROWS)
