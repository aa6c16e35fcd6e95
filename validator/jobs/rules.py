"""Rules for jobs: which are accepted, and how long each state may last."""

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute_horde import container_bounds
from compute_horde.deadlines import Budget
from compute_horde.errors import BadSignature, HordeError, RejectionError
from compute_horde.faults import Cause
from compute_horde.hardware import PROMISES
from compute_horde.image_names import is_listed
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.job import JobRequested, StreamingReady
from compute_horde.protocol.streaming_proof import StreamingProof, check_miner
from compute_horde.signing import RequestSignature, Signer
from compute_horde.vocabulary import HordeReason, RejectionReason
from compute_horde.volumes import first_unsafe_path


@dataclass(frozen=True, slots=True)
class ValidatorTiming:
    """The parts of a job's time budget that the validator sets itself (protocol §5.4)."""

    reservation: timedelta
    startup: timedelta
    leeway: timedelta


def budget(job: JobRequested, timing: ValidatorTiming) -> Budget:
    """How long each state of `job` may last (protocol §5.4)."""
    return Budget(
        reservation=timing.reservation,
        spin_up=PROMISES[job.executor_class].spin_up,
        startup=timing.startup,
        leeway=timing.leeway,
        download=timedelta(seconds=job.download_time_limit),
        streaming_start=timedelta(seconds=job.streaming_start_time_limit),
        execution=timedelta(seconds=job.execution_time_limit),
        upload=timedelta(seconds=job.upload_time_limit),
        streaming=job.streaming_details is not None,
    )


def check_request(
    job: JobRequested, *, allowed: Collection[str], now: datetime, max_age: timedelta
) -> None:
    """Raise `RejectionError` unless an allowed signer signed the job lately (protocol §4.5).

    Also rejects what every miner would decline, so that no miner is blamed for it.
    """
    if job.signature is None:
        raise _invalid("Signature is empty")
    if job.signature.signatory not in allowed:
        raise RejectionError(
            RejectionReason.INVALID_SIGNATURE,
            f"Signatory {job.signature.signatory[:64]} is not in validator whitelist",
            context=Cause.SIGNER_NOT_ALLOWED.context,
        )
    try:
        job.verify()
    except BadSignature as exc:
        raise _invalid("Bad signature") from exc
    if bad := first_unsafe_path(job.volume):
        text = f"Unsafe volume: {bad.path[:200]!r} {bad.reason}"
        raise RejectionError(RejectionReason.UNKNOWN, text)
    if why := container_bounds.excess(job.args, job.env, job.artifacts_dir):
        text = f"Too much for a container engine: {why}"
        raise RejectionError(RejectionReason.UNKNOWN, text)
    # In whole seconds: a float cannot represent so many nanoseconds exactly.
    age = int(now.timestamp()) - job.signature.timestamp_ns // 10**9
    if abs(age) > max_age.total_seconds():
        raise _invalid("The signature is too old, or its clock is ahead of ours")


def check_binding(job: JobRequested, *, validator: str, is_demanded: bool) -> None:
    """Raise `RejectionError` when the request is bound to another validator.

    Also when it is not bound although its signer has bound requests before (`is_demanded`).
    """
    if job.binding is None:
        if is_demanded:
            raise _invalid(
                "The request is not bound to this validator, and its signer has bound requests "
                "before: it may be a replay. Use the SDK that bound them, or have the validator's "
                "operator delete the signer from the binding signers"
            )
    elif job.binding.target_validator != validator:
        raise _invalid(f"The request was signed for validator {job.binding.target_validator}")


def check_streaming(job: JobRequested, images: Collection[str]) -> None:
    """Raise `RejectionError` for a streaming job whose image is not allowed to stream."""
    if job.streaming_details and not is_listed(job.docker_image, images):
        raise RejectionError(
            RejectionReason.UNKNOWN,
            f"this validator allows no streaming jobs of image {job.docker_image[:512]!r}",
        )


def with_streaming_proof(
    ready: StreamingReady, job: JobRequested, miner: str, validator: Signer
) -> StreamingReady:
    """Add the validator's proof to the message; raises `HordeError` when the miner's is wrong."""
    if job.streaming_details is None:
        raise _not_streaming("The miner reported a streaming address, but the job does not stream")
    if ready.ip is None:
        raise _not_streaming("The miner did not report the job's streaming address")
    try:
        check_miner(miner, ready.miner_signature, ready.where())
    except BadSignature as exc:
        raise _not_streaming(f"Wrong signature of the job's streaming address: {exc}") from exc
    proof = StreamingProof.given(validator, miner, ready.miner_signature, ready.where())
    return ready.model_copy(update={"proof": proof})


def _not_streaming(text: str) -> HordeError:
    return HordeError(HordeReason.STREAMING_FAILED, text)


def replay_rejection() -> RejectionError:
    """The rejection of a request whose signature was used for another job."""
    return _invalid("The request was replayed: its signature was used for another job")


def _invalid(detail: str) -> RejectionError:
    return RejectionError(RejectionReason.INVALID_SIGNATURE, detail)


def nonce_digest(signature: RequestSignature, binding: RequestBinding | None) -> str | None:
    """Digest of signer and nonce of a bound request: a signer may use each nonce once."""
    if binding is None:
        return None
    used = f"{signature.signatory}:nonce:{binding.nonce}"
    return hashlib.sha256(used.encode()).hexdigest()


def request_digest(signature: RequestSignature) -> str:
    """Digest that identifies a signed request, however its signature is encoded.

    It does not depend on the binding, because anybody who forwards a request can remove that.
    """
    raw = base64.b64decode(signature.signature)
    blob = f"{signature.signatory}:{signature.timestamp_ns}:".encode() + raw
    return hashlib.sha256(blob).hexdigest()
