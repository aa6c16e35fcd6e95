"""Handles signed requests: checks them, stores the job and sends it to its validator."""

import asyncio
import hashlib
import time
from typing import Any
from uuid import uuid4

from django.http import HttpRequest
from django.utils import timezone

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import Extension, JobState
from facilitator.config import config
from facilitator.jobs import (
    bindings,
    cancellation,
    client_features,
    quotas,
    rules,
    status_reports,
    store,
    validator_connections,
)
from facilitator.jobs.rules import CheatBody, JobBody, StatusEvent
from facilitator.jobs.store import JobSubmission
from facilitator.jobs.validator_connections import connections
from facilitator.metrics import JOBS
from facilitator.models import Job
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import (
    finish_or_503,
    query_unless_late,
    query_within_deadline,
)

MAX_KEY_CHARACTERS = 255


async def submit(request: HttpRequest, body: JobBody, hotkey: str) -> tuple[int, dict[str, Any]]:
    """201 and the new job, or 200 and the job that the same request created before.

    Raises `ApiError` when the request is refused.
    """
    submission = _checked_submission(request, body, hotkey)
    client = client_features.features_of(request.headers)
    job, sent = await finish_or_503(_store_and_deliver(submission))
    JOBS.labels("new" if sent else "repeated").inc()
    if sent is None:
        view = await query_within_deadline(store.full_job_view, job, client)
        if view is None:
            raise _not_found()
        return 200, view
    return 201, store.job_view(job, [sent], client)


async def cancel(request: HttpRequest, uuid: str, hotkey: str) -> tuple[int, dict[str, Any]]:
    """202 and the job while it is being cancelled, 200 once it has ended; harmless to repeat.

    Raises `ApiError`, such as 409 when the validator cannot cancel jobs.
    """
    message = CancelRequested(signature=_signature(request), job_uuid=uuid)
    _check_signature(message, hotkey)
    await finish_or_503(_cancel(message, hotkey))
    client = client_features.features_of(request.headers)
    job = await query_within_deadline(store.own_job, uuid, hotkey, client)
    if job is None:  # Evicted meanwhile.
        raise _not_found()
    has_ended = client_features.has_ended(job)
    return (200 if has_ended else 202), job


async def _cancel(message: CancelRequested, hotkey: str) -> None:
    """Store the cancel request and send it to the validator, now or when it connects."""
    uuid = message.job_uuid
    job = await query_unless_late(cancellation.find_own_job, uuid, hotkey)
    if job is None:
        raise _not_found()
    if job.is_final:
        return
    connection = connections.pick(job.validator_id)
    if connection and Extension.CANCEL not in connection.extensions:
        raise _not_cancellable(job)
    await query_unless_late(cancellation.store_request, uuid, hotkey, message.encode())
    if connection is None and job.job_state is JobState.SENT:
        await asyncio.wait(
            [status_reports.enqueue(job.validator_id, cancellation.cancelled_before_received(uuid))]
        )
    await validator_connections.deliver_pending(job.validator_id)


def _not_found() -> ApiError:
    return ApiError(404, {"detail": "Not found."})


def _not_cancellable(job: Job) -> ApiError:
    text = f"validator {job.validator_id} cannot cancel jobs; this one ends within its time limits"
    return ApiError(409, {"error": "Cancelling not supported", "details": text})


async def report_cheat(request: HttpRequest, body: CheatBody, hotkey: str) -> None:
    """Store a cheat report and send it to the job's validator, now or when it connects."""
    message = body.message(_signature(request))
    _check_signature(message, hotkey)
    _frame_within_limit(message)
    validator = await query_within_deadline(store.report_cheat, hotkey, message)
    await validator_connections.deliver_pending(validator)


async def _store_and_deliver(submission: JobSubmission) -> tuple[Job, StatusEvent | None]:
    """Store the job for one live connection of its validator and send it there.

    The status is None when the request was a repetition.
    """
    connection = connections.pick(submission.validator)
    if connection is None:
        if earlier := await query_unless_late(store.find_earlier, submission):
            return earlier, None
        raise store.no_validator()
    try:
        async with quotas.quota.start(submission.hotkey):
            job, sent = await query_unless_late(store.create, submission, connection.name)
    except ApiError as refusal:
        # A repeated request gets its existing job even when the quota is used up.
        if refusal.status == 429 and (
            earlier := await query_unless_late(store.find_earlier, submission)
        ):
            return earlier, None
        raise
    if sent:
        await validator_connections.deliver(submission.validator, connection.name, submission.frame)
    return job, sent


def _checked_submission(request: HttpRequest, body: JobBody, hotkey: str) -> JobSubmission:
    signature = _signature(request)
    binding = bindings.binding_of(request, body.target_validator_hotkey)
    message = body.request(str(uuid4()), signature, binding)
    _check_signature(message, hotkey)
    frame = _frame_within_limit(message)
    return JobSubmission(
        hotkey=hotkey,
        validator=body.target_validator_hotkey,
        request=message,
        frame=frame,
        tag=body.tag,
        digest=signing.request_digest(message.signed_text(), signature.timestamp_ns).hex(),
        body_hash=hashlib.sha256(request.body).hexdigest(),
        idempotency_key=_idempotency_key(request),
        overdue_at=rules.overdue_at(
            message, now=timezone.now(), spare_seconds=config.overdue_seconds
        ),
    )


def _signature(request: HttpRequest) -> RequestSignature:
    signature = rules.signature_from_headers(request.headers)
    if signature is None:
        details = "the X-CH-* headers must carry a signature of this request"
        raise ApiError(400, {"error": "Signature not found", "details": details})
    return signature


def _check_signature(message: JobRequested | CheatReported | CancelRequested, hotkey: str) -> None:
    try:
        rules.check_signature(
            message,
            by=hotkey,
            now_ns=time.time_ns(),
            max_age_seconds=config.max_signature_age_seconds,
            max_ahead_seconds=config.max_signature_ahead_seconds,
        )
    except BadSignature as exc:
        refusal = {"error": "Invalid signature provided", "details": str(exc)}
        raise ApiError(400, refusal) from exc


def _frame_within_limit(message: JobRequested | CheatReported) -> str:
    """The message as a frame; raises `ApiError` 413 when it is too long for validators."""
    frame = message.encode()
    if text := rules.oversize_problem(frame):
        raise ApiError(413, {"error": "Request too large for validators", "details": text})
    return frame


def _idempotency_key(request: HttpRequest) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isprintable()):
        details = f"1 to {MAX_KEY_CHARACTERS} printable characters"
        raise ApiError(400, {"error": "Idempotency-Key malformed", "details": details})
    return key
