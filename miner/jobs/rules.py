"""What may be accepted, how long it may take, what of it is kept: decisions only."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from compute_horde import frames, receipts, signing
from compute_horde.deadlines import Budget
from compute_horde.errors import BadSignature, ProtocolError, RejectionError
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.images import is_listed
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished, JobOffered, JobPayload
from compute_horde.protocol.message import JobMessage
from compute_horde.receipts import Receipt
from compute_horde.signing import Signer
from compute_horde.uploads import each as each_upload
from compute_horde.vocabulary import FailureReason, JobState, RejectionReason, Stage
from compute_horde.volumes import each as each_volume

OFFER, PAYLOAD = "V0InitialJobRequest", "V0JobRequest"
READ_AGAIN_BYTES = 2**20
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

STAGE_IN: dict[JobState, Stage] = {
    JobState.RECEIVED: Stage.EXECUTOR_STARTUP,
    JobState.ACCEPTED: Stage.EXECUTOR_STARTUP,
    JobState.EXECUTOR_READY: Stage.VOLUME_DOWNLOAD,
    JobState.VOLUMES_READY: Stage.EXECUTION,
    JobState.STREAMING_READY: Stage.EXECUTION,
    JobState.EXECUTION_DONE: Stage.RESULT_UPLOAD,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How strict this miner is."""

    check_receipts: bool = True
    require_signature: bool = False
    trusted: bool = False
    startup: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=30)
    streaming_images: tuple[str, ...] = ()


def check_signature(raw: str, validator: str, terms: Terms) -> None:
    """Decline a frame whose `validator_signature` is wrong, or absent where we insist."""
    try:
        signed = signing.verify_validator_frame(raw, validator)
    except BadSignature as exc:
        raise RejectionError(
            RejectionReason.INVALID_SIGNATURE, f"validator_signature: {exc}"
        ) from exc
    if not signed and terms.require_signature:
        raise RejectionError(RejectionReason.INVALID_SIGNATURE, "validator_signature is required")


def started_receipt(
    offered: JobOffered, validator: str, miner: Signer, terms: Terms
) -> Receipt | None:
    """The counter-signed started receipt; None when it is bad and this miner does not mind."""
    payload = offered.job_started_receipt_payload
    try:
        _same_job(offered, validator)
        return counter_sign(payload, offered.job_started_receipt_signature, miner, terms)
    except RejectionError:
        if terms.check_receipts:
            raise
    except BadSignature as exc:
        if terms.check_receipts:
            raise RejectionError(RejectionReason.INVALID_RECEIPT, str(exc)) from exc
    return None


def _same_job(offered: JobOffered, validator: str) -> None:
    payload = offered.job_started_receipt_payload
    wanted = (offered.job_uuid, validator, offered.executor_class)
    if (payload.job_uuid, payload.validator_hotkey, payload.executor_class) != wanted:
        raise RejectionError(
            RejectionReason.INVALID_RECEIPT, "the receipt is of another job, validator or class"
        )


def counter_sign(
    payload: receipts.AnyPayload,
    signature: str,
    miner: Signer,
    terms: Terms,
) -> Receipt:
    """The receipt with our signature; `BadSignature` unless it is the validator's and for us.

    A trusted miner is addressed by place, not by hotkey, so there the name in it is free.
    """
    if not terms.trusted:
        return receipts.counter_sign(payload, signature, miner)
    blob = payload.blob()
    signing.verify_hex(payload.validator_hotkey, blob, signature)
    return Receipt(
        payload=payload,
        validator_signature=signature,
        miner_signature=signing.signed_hex(miner, blob),
    )


def for_executor(offered: JobOffered, address: str | None) -> JobOffered:
    """The offer as its executor hears it: with its own address when users are to reach it."""
    if offered.streaming_details is None:
        return offered
    details = offered.streaming_details.model_copy(update={"executor_ip": address})
    return offered.model_copy(update={"streaming_details": details})


def check_offered(offered: JobOffered, manifest: Mapping[ExecutorClass, int]) -> None:
    """Decline what this miner does not have."""
    if not manifest.get(offered.executor_class):
        raise RejectionError(
            RejectionReason.UNKNOWN, f"this miner has no executors of {offered.executor_class}"
        )


def check_streaming(offered: JobOffered, terms: Terms) -> None:
    """Decline to let users into an image that this miner's operator did not list."""
    if offered.streaming_details is None:
        return
    image = offered.docker_image
    if image is None or not is_listed(image, terms.streaming_images):
        raise RejectionError(
            RejectionReason.UNKNOWN, f"this miner serves no streaming jobs of image {image!r}"
        )


def digest(message: JobMessage) -> str:
    """Tells a message said again from another one about the same job."""
    return hashlib.sha256(message.encode().encode()).hexdigest()


def is_said_again(payload: JobPayload, before: JobPayload) -> bool:
    """Whether it is the same job; no two signatures over it are alike."""
    return payload == before.model_copy(update={"validator_signature": payload.validator_signature})


def time_to_live(offered: JobOffered, terms: Terms) -> timedelta:
    """How long the job may hold its executor; there is no other ceiling."""
    timing = offered.executor_timing
    spin_up = PROMISES[offered.executor_class].spin_up
    if timing is None:
        whole = timedelta(seconds=offered.timeout_seconds or 0)
        return spin_up + terms.startup + whole + terms.grace
    budget = Budget(
        reservation=timedelta(0),
        spin_up=spin_up,
        startup=terms.startup,
        leeway=timedelta(seconds=timing.allowed_leeway),
        download=timedelta(seconds=timing.download_time_limit),
        streaming_start=timedelta(seconds=timing.streaming_start_time_limit),
        execution=timedelta(seconds=timing.execution_time_limit),
        upload=timedelta(seconds=timing.upload_time_limit),
    )
    return budget.total() + terms.grace


def job_uuid_of(raw: str | bytes, message_type: str) -> str | None:
    """Whose job a frame that could not be read is about, when it is a `message_type` at all."""
    if len(raw) > READ_AGAIN_BYTES:
        return None
    try:
        said = frames.parsed(raw)
    except ProtocolError:
        return None
    if not isinstance(said, dict) or said.get("message_type") != message_type:
        return None
    uuid = said.get("job_uuid")
    return uuid if isinstance(uuid, str) and _UUID.fullmatch(uuid) else None


def plain(text: str) -> str:
    """Text that PostgreSQL can hold."""
    return text.replace("\0", "")


def outline(message: JobOffered | JobPayload) -> str:
    """What an operator may see of a message: names and kinds, no contents, addresses, secrets."""
    kept = message.model_dump(
        mode="json",
        exclude={
            "env",
            "volume",
            "output_upload",
            "validator_signature",
            "job_started_receipt_signature",
            "streaming_details",
        },
    )
    kept["volume"] = [[v.volume_type, v.relative_path] for v in each_volume(message.volume)]
    if isinstance(message, JobPayload):
        kept["env"] = sorted(message.env)
        kept["output_upload"] = [
            [u.output_upload_type, getattr(u, "relative_path", None)]
            for u in each_upload(message.output_upload)
        ]
    return json.dumps(kept, ensure_ascii=False)


def result_fields(fact: JobMessage) -> dict[str, Any]:
    """The columns that a final fact fills."""
    match fact:
        case JobFinished():
            return {
                "exit_status": 0,
                "stdout": plain(fact.docker_process_stdout),
                "stderr": plain(fact.docker_process_stderr),
            }
        case JobFailed():
            return {
                "exit_status": fact.docker_process_exit_status,
                "stdout": plain(fact.docker_process_stdout or ""),
                "stderr": plain(fact.docker_process_stderr or ""),
                "error_type": str(fact.reason),
                "error_detail": plain(fact.message),
            }
        case JobCancelled():
            return {
                "stdout": plain(fact.docker_process_stdout or ""),
                "stderr": plain(fact.docker_process_stderr or ""),
                "error_type": str(FailureReason.CANCELLED),
                "error_detail": plain(fact.message),
            }
        case HordeFailed():
            return {"error_type": str(fact.reason), "error_detail": plain(fact.message)}
    return {}
