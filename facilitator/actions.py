"""What changes the database. Every function is one transaction and harmless to repeat."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.clients import Client, in_words_of
from facilitator.models import AllowedHotkey, CheatReport, Job, JobEvent, SpentNonce, Validator
from facilitator.refusal import Refusal
from facilitator.rules import UNFINISHED, Told, job_object

EVICT_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Order:
    """A checked request to run a job."""

    hotkey: str
    validator: str
    request: JobRequested
    frame: str
    tag: str
    digest: str
    body_hash: str
    idempotency_key: str | None
    overdue_at: datetime


def is_allowed(hotkey: str) -> bool:
    """Whether a user may log in and work."""
    return AllowedHotkey.objects.filter(hotkey=hotkey).exists()


def spend(nonce: str) -> bool:
    """Use up a login nonce; False when it was used before."""
    _, is_new = SpentNonce.objects.get_or_create(nonce=nonce)
    return is_new


def earlier(order: Order) -> Job | None:
    """The job this order already made; `Refusal` when its key was used for something else."""
    if not order.idempotency_key:
        return None
    job = Job.objects.filter(hotkey=order.hotkey, idempotency_key=order.idempotency_key).first()
    if job and job.body_hash != order.body_hash:
        details = f"it was used for job {job.uuid}, whose body was different"
        raise Refusal(422, {"error": "Idempotency-Key already used", "details": details})
    return job


def create(order: Order, taken_by: str) -> tuple[Job, Told | None]:
    """Store a job as sent; the row, and its first status if it is new.

    The constraints of the table decide between two requests at once.
    """
    try:
        with transaction.atomic():
            job = _row(order, taken_by)
            job.save(force_insert=True)
            sent = StatusReported(uuid=order.request.uuid, status=JobState.SENT)
            event = JobEvent.objects.create(
                job=job, state=job.state, body=sent.encode(), created_at=job.created_at
            )
            return job, Told(event.id, event.created_at, sent)
    except IntegrityError as exc:
        return _made_before(order, exc)


def _made_before(order: Order, problem: IntegrityError) -> tuple[Job, Told | None]:
    if job := earlier(order):
        return job, None
    job = Job.objects.filter(hotkey=order.hotkey, digest=order.digest).first()
    if job is None:
        raise no_validator() from problem
    if str(job.uuid) != order.request.uuid:
        details = f"this signed request already made job {job.uuid}; sign a new one"
        raise Refusal(400, {"error": "replayed", "details": details}) from problem
    # Our own first attempt was stored, and only the connection lost.
    return job, told(job.events.all())[0]


def _row(order: Order, taken_by: str) -> Job:
    return Job(
        uuid=order.request.uuid,
        state=JobState.SENT,
        hotkey=order.hotkey,
        validator_id=order.validator,
        request=order.frame,
        tag=order.tag,
        on_trusted_miner=order.request.on_trusted_miner,
        digest=order.digest,
        idempotency_key=order.idempotency_key,
        body_hash=order.body_hash,
        taken_by=taken_by,
        overdue_at=order.overdue_at,
    )


def no_validator() -> Refusal:
    """The validator is unknown or not connected."""
    return Refusal(400, ["Could not select Validator"])


def told(events: Iterable[JobEvent]) -> list[Told]:
    """Stored statuses as what they said."""
    return [
        Told(event.id, event.created_at, StatusReported.model_validate_json(event.body))
        for event in events
    ]


def shown(job: Job, statuses: Sequence[Told], client: Client) -> dict[str, Any]:
    """The job as its owner sees it with this client."""
    return job_object(
        JobRequested.model_validate_json(job.request),
        [in_words_of(client, one) for one in statuses],
        created_at=job.created_at,
        validator=job.validator_id,
        tag=job.tag,
    )


def look(job: Job, client: Client) -> dict[str, Any]:
    """A job with all its statuses."""
    return shown(job, told(job.events.all()), client)


def own_job(uuid: str, hotkey: str, client: Client) -> dict[str, Any] | None:
    """A job of this user, or None."""
    job = Job.objects.filter(uuid=uuid, hotkey=hotkey).first()
    return job and look(job, client)


def own_statuses(uuid: str, hotkey: str) -> list[Told] | None:
    """All statuses of a job of this user, or None."""
    events = JobEvent.objects.filter(job_id=uuid, job__hotkey=hotkey)
    return told(events) or None


def validator_of(uuid: str, hotkey: str) -> str | None:
    """The validator that has a job of this user, or None."""
    jobs = Job.objects.filter(uuid=uuid, hotkey=hotkey)
    return jobs.values_list("validator_id", flat=True).first()


def own_jobs(
    hotkey: str, uuids: Sequence[str], tag: str | None, *, first: int, size: int
) -> tuple[int, list[UUID]]:
    """How many jobs of this user match, and the names of a page of them, newest first."""
    jobs = Job.objects.filter(hotkey=hotkey).order_by("-created_at", "uuid")
    if uuids:
        jobs = jobs.filter(uuid__in=uuids)
    if tag is not None:
        jobs = jobs.filter(tag=tag)
    count = jobs.count()
    page = jobs.values_list("uuid", flat=True)[first : first + size] if first < count else []
    return count, list(page)


def looks(uuids: Sequence[UUID], client: Client) -> list[str]:
    """These jobs in this order, each as JSON text."""
    jobs = Job.objects.prefetch_related("events").in_bulk(uuids)
    found = (jobs.get(uuid) for uuid in uuids)
    return [json.dumps(look(job, client), cls=DjangoJSONEncoder) for job in found if job]


def may_connect(hotkey: str) -> bool:
    """Whether this is a validator that the operator wants here."""
    return Validator.objects.filter(hotkey=hotkey, is_active=True).exists()


def note_login(hotkey: str, version: str) -> None:
    """Keep when a validator connected last, and what it runs."""
    Validator.objects.filter(hotkey=hotkey).update(last_login=timezone.now(), version=version)


def record(
    uuid: str, hotkey: str, statuses: Sequence[StatusReported], heard_at: Sequence[datetime]
) -> list[Told] | None:
    """Store a validator's reports of its own job; those that were news, or None for no such job."""
    said = {one.status: one for one in reversed(statuses)}
    when = {one.status: at for one, at in zip(reversed(statuses), reversed(heard_at), strict=True)}
    try:
        reports = [(one.status, one) for one in statuses]
        _, events = Job.report(uuid, *reports, when=when, validator_id=hotkey)
    except Job.DoesNotExist:
        return None
    return [Told(event.id, event.created_at, said[JobState(event.state)]) for event in events]


def adopt(hotkey: str, channel: str, holders: Sequence[str], limit: int) -> list[str]:
    """Give a live connection the jobs that none of the `holders` has; their frames.

    The rows are locked, and what somebody else works on is skipped, so each job goes to one.
    """
    with transaction.atomic():
        waiting = (
            Job.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(validator_id=hotkey, state=JobState.SENT)
            .exclude(taken_by__in=holders)
            .order_by("created_at")[:limit]
        )
        jobs = list(waiting)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(taken_by=channel)
        return [job.request for job in jobs]


def report_cheat(hotkey: str, report: CheatReported) -> str:
    """Store a claim about two of the user's jobs; the hotkey of the validator to tell."""
    mine = Job.objects.filter(hotkey=hotkey)
    job = mine.filter(uuid=report.job_uuid, on_trusted_miner=False).first()
    if job is None:
        raise Refusal(404, {"error": "Job not found"})
    if not mine.filter(uuid=report.trusted_job_uuid, on_trusted_miner=True).exists():
        raise Refusal(404, {"error": "Trusted job not found"})
    claim = {"trusted_job_id": report.trusted_job_uuid, "message": report.encode()}
    _, is_new = CheatReport.objects.get_or_create(job=job, defaults=claim)
    if not is_new:
        raise Refusal(400, {"error": "Cheat report already exists for this job"})
    return job.validator_id


def untold_reports(hotkey: str, limit: int) -> list[str]:
    """Cheat reports that the validator has not been told; they count as told from now on."""
    with transaction.atomic():
        waiting = CheatReport.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            job__validator_id=hotkey, is_told=False
        )[:limit]
        claims = list(waiting)
        CheatReport.objects.filter(pk__in=[one.pk for one in claims]).update(is_told=True)
        return [one.message for one in claims]


@dataclass(frozen=True, slots=True)
class Stuck:
    """An unfinished job of which nothing more will be heard."""

    uuid: str
    validator: str
    state: JobState


def validators() -> dict[str, bool]:
    """Each known validator, and whether it may connect."""
    return dict(Validator.objects.values_list("hotkey", "is_active"))


def stuck(*, absent: Iterable[str], now: datetime, patience: timedelta) -> list[Stuck]:
    """Jobs nobody took in time, those of absent validators and those over all their limits."""
    too_old = Q(state=JobState.SENT, created_at__lt=now - patience)
    left = Q(validator_id__in=list(absent), created_at__lt=now - patience)
    jobs = Job.objects.filter(
        too_old | left | Q(overdue_at__lt=now), state__in=UNFINISHED
    ).values_list("uuid", "validator_id", "state")
    return [Stuck(str(uuid), hotkey, JobState(state)) for uuid, hotkey, state in jobs]


def evict(*, now: datetime, keep: timedelta, keep_nonces: timedelta) -> int:
    """Delete a few of the jobs and nonces nobody needs any more; how many jobs it were."""
    SpentNonce.objects.filter(spent_at__lt=now - keep_nonces).delete()
    # However long a job took, its owner has time to read how it ended.
    old = Job.objects.filter(created_at__lt=now - keep, state_since__lt=now - keep)
    old = old.exclude(state__in=UNFINISHED)
    uuids = list(old.order_by("created_at").values_list("pk", flat=True)[:EVICT_AT_ONCE])
    Job.objects.filter(pk__in=uuids).delete()
    return len(uuids)
