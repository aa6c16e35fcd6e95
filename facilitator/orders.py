"""From a user's signed request to a stored job that a validator was told."""

import asyncio
import hashlib
import time
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import Extension, JobState
from facilitator import actions, cancels, clients, reports, rules, switchboard
from facilitator.actions import Order
from facilitator.metrics import JOBS
from facilitator.models import Job
from facilitator.patience import answered, in_time, promptly
from facilitator.refusal import Refusal
from facilitator.rules import CheatBody, JobBody, Told
from facilitator.switchboard import switchboard as board

MAX_KEY_CHARACTERS = 255


async def submit(request: HttpRequest, body: JobBody, hotkey: str) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the job that this request made, now or the first time it came."""
    order, client = _order(request, body, hotkey), clients.client_of(request.headers)
    job, sent = await answered(_place(order))
    JOBS.labels("new" if sent else "repeated").inc()
    if sent is None:
        return 200, await promptly(actions.look, job, client)
    return 201, actions.shown(job, [sent], client)


async def cancel(request: HttpRequest, uuid: str, hotkey: str) -> tuple[int, dict[str, Any]]:
    """202 and the job while it is being cancelled, 200 when it has ended; harmless to repeat."""
    message = CancelRequested(signature=_signature(request), job_uuid=uuid)
    _check(message, hotkey)
    await answered(_cancel(message, hotkey))
    client = clients.client_of(request.headers)
    job = await promptly(actions.own_job, uuid, hotkey, client)
    assert job is not None  # noqa: S101
    has_ended = clients.has_ended(job)
    return (200 if has_ended else 202), job


async def _cancel(message: CancelRequested, hotkey: str) -> None:
    """Remember the wish and tell the validator, now or when it connects."""
    uuid = message.job_uuid
    job = await in_time(cancels.owned, uuid, hotkey)
    if job is None:
        raise Refusal(404, {"detail": "Not found."})
    if job.is_final:
        return
    channel = board.pick(job.validator_id)
    if channel and Extension.CANCEL not in channel.extensions:
        raise _not_cancellable(job)
    await in_time(cancels.ask, uuid, hotkey, message.encode())
    if channel is None and job.job_state is JobState.SENT:
        await asyncio.wait([reports.hear(job.validator_id, cancels.never_taken(uuid))])
    await switchboard.adopt(job.validator_id)


def _not_cancellable(job: Job) -> Refusal:
    text = f"validator {job.validator_id} cannot cancel jobs; this one ends within its time limits"
    return Refusal(409, {"error": "Cancelling not supported", "details": text})


async def report_cheat(request: HttpRequest, body: CheatBody, hotkey: str) -> None:
    """Store a claim and tell the validator of the job, now or when it connects."""
    message = body.message(_signature(request))
    _check(message, hotkey)
    _sayable(message)
    validator = await promptly(actions.report_cheat, hotkey, message)
    await switchboard.adopt(validator)


async def _place(order: Order) -> tuple[Job, Told | None]:
    """Store the job for one live connection of its validator, then say it there."""
    channel = board.pick(order.validator)
    if channel is None:
        if job := await in_time(actions.earlier, order):
            return job, None
        raise actions.no_validator()
    job, sent = await in_time(actions.create, order, channel.name)
    if sent:
        await switchboard.hand(order.validator, channel.name, order.frame)
    return job, sent


def _order(request: HttpRequest, body: JobBody, hotkey: str) -> Order:
    signature = _signature(request)
    message = body.request(str(uuid4()), signature)
    _check(message, hotkey)
    frame = _sayable(message)
    return Order(
        hotkey=hotkey,
        validator=body.target_validator_hotkey,
        request=message,
        frame=frame,
        tag=body.tag,
        digest=signing.request_digest(message.signed_text(), signature.timestamp_ns).hex(),
        body_hash=hashlib.sha256(request.body).hexdigest(),
        idempotency_key=_idempotency_key(request),
        overdue_at=rules.overdue_at(
            message, now=timezone.now(), spare_seconds=settings.OVERDUE_SECONDS
        ),
    )


def _signature(request: HttpRequest) -> RequestSignature:
    signature = rules.signature_in(request.headers)
    if signature is None:
        details = "the X-CH-* headers must carry a signature of this request"
        raise Refusal(400, {"error": "Signature not found", "details": details})
    return signature


def _check(message: JobRequested | CheatReported | CancelRequested, hotkey: str) -> None:
    try:
        rules.check_signature(
            message,
            by=hotkey,
            now_ns=time.time_ns(),
            max_age_seconds=settings.MAX_SIGNATURE_AGE_SECONDS,
            max_ahead_seconds=settings.MAX_SIGNATURE_AHEAD_SECONDS,
        )
    except BadSignature as exc:
        refusal = {"error": "Invalid signature provided", "details": str(exc)}
        raise Refusal(400, refusal) from exc


def _sayable(message: JobRequested | CheatReported) -> str:
    """The frame, if validators can hear one that long."""
    frame = message.encode()
    if text := rules.oversize(frame):
        raise Refusal(413, {"error": "Request too large for validators", "details": text})
    return frame


def _idempotency_key(request: HttpRequest) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isprintable()):
        details = f"1 to {MAX_KEY_CHARACTERS} printable characters"
        raise Refusal(400, {"error": "Idempotency-Key malformed", "details": details})
    return key
