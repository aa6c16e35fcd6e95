"""Rules for accepting jobs, their time limits, and the columns of their rows."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from compute_horde import frames, signing
from compute_horde.deadlines import Budget
from compute_horde.errors import BadSignature, ProtocolError, RejectionError
from compute_horde.hardware import PROMISES
from compute_horde.image_names import is_listed
from compute_horde.job_uuid import is_job_uuid
from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished, JobOffered, JobPayload
from compute_horde.protocol.message import JobMessage
from compute_horde.uploads import each as each_upload
from compute_horde.vocabulary import FailureReason, RejectionReason
from compute_horde.volumes import simple_volumes as each_volume

OFFER, PAYLOAD = "V0InitialJobRequest", "V0JobRequest"
REPARSE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """The rules that the operator sets for accepting jobs."""

    check_receipts: bool = True
    require_signature: bool = False
    trusted: bool = False
    startup: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=30)
    streaming_images: tuple[str, ...] = ()


def check_signature(raw: str, validator: str, policy: JobPolicy) -> None:
    """Raise `RejectionError` for a wrong `validator_signature`, or none where one is required."""
    try:
        signed = signing.verify_validator_frame(raw, validator)
    except BadSignature as exc:
        raise RejectionError(
            RejectionReason.INVALID_SIGNATURE, f"validator_signature: {exc}"
        ) from exc
    if not signed and policy.require_signature:
        raise RejectionError(RejectionReason.INVALID_SIGNATURE, "validator_signature is required")


def for_executor(offered: JobOffered, address: str | None) -> JobOffered:
    """The offer as it is sent to an executor: with `address`, if users connect to the job."""
    if offered.streaming_details is None:
        return offered
    details = offered.streaming_details.model_copy(update={"executor_ip": address})
    return offered.model_copy(update={"streaming_details": details})


def check_streaming(offered: JobOffered, policy: JobPolicy) -> None:
    """Raise `RejectionError` for a streaming job of an image that the operator did not list."""
    if offered.streaming_details is None:
        return
    image = offered.docker_image
    if image is None or not is_listed(image, policy.streaming_images):
        raise RejectionError(
            RejectionReason.UNKNOWN, f"this miner serves no streaming jobs of image {image!r}"
        )


def digest(message: JobMessage) -> str:
    """A hash that tells a repeated message from another one about the same job."""
    return hashlib.sha256(message.encode().encode()).hexdigest()


def is_repeat(payload: JobPayload, before: JobPayload) -> bool:
    """Whether two payloads are the same, except for their signatures, which always differ."""
    return payload == before.model_copy(update={"validator_signature": payload.validator_signature})


def time_to_live(offered: JobOffered, policy: JobPolicy) -> timedelta:
    """The longest time that a job may use its executor: its time budget and the grace period."""
    timing = offered.executor_timing
    spin_up = PROMISES[offered.executor_class].spin_up
    if timing is None:
        limit = timedelta(seconds=offered.timeout_seconds or 0)
        return spin_up + policy.startup + limit + policy.grace
    budget = Budget(
        reservation=timedelta(0),
        spin_up=spin_up,
        startup=policy.startup,
        leeway=timedelta(seconds=timing.allowed_leeway),
        download=timedelta(seconds=timing.download_time_limit),
        streaming_start=timedelta(seconds=timing.streaming_start_time_limit),
        execution=timedelta(seconds=timing.execution_time_limit),
        upload=timedelta(seconds=timing.upload_time_limit),
    )
    return budget.total() + policy.grace


def job_uuid_of(raw: str | bytes, message_type: str) -> str | None:
    """The job of an invalid frame, if the frame claims to be a `message_type`; else None."""
    if len(raw) > REPARSE_BYTES:
        return None
    try:
        parsed = frames.parsed(raw)
    except ProtocolError:
        return None
    if not isinstance(parsed, dict) or parsed.get("message_type") != message_type:
        return None
    uuid = parsed.get("job_uuid")
    return uuid if isinstance(uuid, str) and is_job_uuid(uuid) else None


def redacted(message: JobOffered | JobPayload) -> str:
    """A message as JSON for operators: names and kinds, but no contents, addresses or secrets."""
    shown = message.model_dump(
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
    shown["volume"] = [[v.volume_type, v.relative_path] for v in each_volume(message.volume)]
    if isinstance(message, JobPayload):
        shown["env"] = sorted(message.env)
        shown["output_upload"] = [
            [u.output_upload_type, getattr(u, "relative_path", None)]
            for u in each_upload(message.output_upload)
        ]
    return json.dumps(shown, ensure_ascii=False)


def result_fields(message: JobMessage) -> dict[str, Any]:
    """The columns that a final message fills."""
    match message:
        case JobFinished():
            return {
                "exit_status": 0,
                "stdout": replace_nul(message.docker_process_stdout),
                "stderr": replace_nul(message.docker_process_stderr),
            }
        case JobFailed():
            return {
                "exit_status": message.docker_process_exit_status,
                "stdout": replace_nul(message.docker_process_stdout or ""),
                "stderr": replace_nul(message.docker_process_stderr or ""),
                "error_type": str(message.reason),
                "error_detail": replace_nul(message.message),
            }
        case JobCancelled():
            return {
                "stdout": replace_nul(message.docker_process_stdout or ""),
                "stderr": replace_nul(message.docker_process_stderr or ""),
                "error_type": str(FailureReason.CANCELLED),
                "error_detail": replace_nul(message.message),
            }
        case HordeFailed():
            return {"error_type": str(message.reason), "error_detail": replace_nul(message.message)}
    return {}
