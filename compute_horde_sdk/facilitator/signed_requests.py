"""Builds signed requests to create, cancel and report jobs."""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from compute_horde import mount_paths, signing, uploads, volumes
from compute_horde.errors import ComputeHordeError
from compute_horde.image_names import ImageName
from compute_horde.protocol import extensions
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.job import JobRequested, StreamingDetails
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES
from compute_horde.vocabulary import SignatureScope
from compute_horde_sdk.errors import InvalidRequestError
from compute_horde_sdk.job_spec import ComputeHordeJobSpec
from compute_horde_sdk.volumes import (
    OUTPUT_MOUNT,
    VOLUME_MOUNT,
    HTTPInputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
)

MAX_NAME = 255
# The fields of the spec that are time limits, and their command line options.
LIMITS = {
    "download_time_limit_sec": "--download-limit",
    "execution_time_limit_sec": "--execution-limit",
    "upload_time_limit_sec": "--upload-limit",
}
MAX_NAMESPACE = 100
# The facilitator adds a uuid and the signature and relays the job in one frame.
RELAY_OVERHEAD_BYTES = 2048
MAX_BODY_BYTES = FACILITATOR_FRAME_BYTES - RELAY_OVERHEAD_BYTES
# The message requires a uuid; the facilitator sets the real one.
PLACEHOLDER_UUID = str(UUID(int=0))


class SignedRequest:
    """A request body and the headers with its signature."""

    def __init__(
        self,
        body: bytes,
        signature: signing.RequestSignature,
        binding: RequestBinding | None = None,
    ) -> None:
        self.body = body
        self.headers = (binding.headers() if binding else {}) | {
            "X-CH-Signature-Type": signature.signature_type,
            "X-CH-Signatory": signature.signatory,
            "X-CH-Timestamp-NS": str(signature.timestamp_ns),
            "X-CH-Signature": signature.signature,
            "X-CH-Signature-Scope": signature.signature_scope.value,
        }


def job_request(
    spec: ComputeHordeJobSpec,
    signer: signing.Signer,
    *,
    validator: str,
    on_trusted_miner: bool,
    certificate: str | None,
) -> SignedRequest:
    """The request that creates a job.

    Raises `InvalidRequestError` when the spec or the validator's address is invalid,
    `ComputeHordeError` when it is too large.
    """
    if why := signing.address_problem(validator):
        raise InvalidRequestError(f"{validator!r} is not the SS58 address of a validator: it {why}")
    job = _job_message(spec, on_trusted_miner=on_trusted_miner, certificate=certificate)
    body = _json_bytes(_body(job, spec, validator))
    if len(body) > MAX_BODY_BYTES:
        raise ComputeHordeError(_too_big(spec, len(body)))
    text = job.signed_text()
    signature = _sign(signer, text, SignatureScope.SIGNED_FIELDS)
    binding = RequestBinding.signed(
        signer,
        target_validator=validator,
        nonce=secrets.token_urlsafe(24),
        request_digest=signing.request_digest(text, signature.timestamp_ns),
        job_namespace=job.job_namespace,
    )
    return SignedRequest(body, signature, binding)


def cheat_report(
    job_uuid: str, trusted_job_uuid: str, details: Any, signer: signing.Signer
) -> SignedRequest:
    """The request that reports the miner of a job, with a trusted job as evidence."""
    report = {"job_uuid": job_uuid, "trusted_job_uuid": trusted_job_uuid, "details": details}
    text, _ = signing.cheat_report_payloads(report)
    return SignedRequest(_json_bytes(report), _sign(signer, text, SignatureScope.FULL_REQUEST))


def cancel(job_uuid: str, signer: signing.Signer) -> SignedRequest:
    """The request that cancels a job."""
    text = extensions.cancel_text(job_uuid)
    return SignedRequest(b"{}", _sign(signer, text, SignatureScope.FULL_REQUEST))


def _sign(signer: signing.Signer, text: str, scope: SignatureScope) -> signing.RequestSignature:
    return signing.sign_request(signer, text, timestamp_ns=time.time_ns(), scope=scope)


def _json_bytes(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequestError(
            "the request holds text that is not Unicode (a lone surrogate)"
        ) from exc


def _job_message(
    spec: ComputeHordeJobSpec, *, on_trusted_miner: bool, certificate: str | None
) -> JobRequested:
    _check(spec)
    inputs = [_volume(path, volume) for path, volume in (spec.input_volumes or {}).items()]
    outputs = [_upload(path, volume) for path, volume in (spec.output_volumes or {}).items()]
    try:
        return JobRequested(
            uuid=PLACEHOLDER_UUID,
            job_namespace=spec.job_namespace,
            executor_class=spec.executor_class,
            docker_image=spec.docker_image,
            args=list(spec.args),
            env=dict(spec.env),
            volume=volumes.MultiVolume(volumes=inputs) if inputs else None,
            output_upload=uploads.MultiUpload(uploads=outputs) if outputs else None,
            artifacts_dir=None if spec.artifacts_dir is None else str(spec.artifacts_dir),
            on_trusted_miner=on_trusted_miner,
            download_time_limit=spec.download_time_limit_sec,
            execution_time_limit=spec.execution_time_limit_sec,
            upload_time_limit=spec.upload_time_limit_sec,
            streaming_start_time_limit=spec.streaming_start_time_limit_sec,
            streaming_details=StreamingDetails(public_key=certificate) if certificate else None,
        )
    except ValidationError as exc:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()[:3])
        raise InvalidRequestError(f"the job's spec is not valid: {details}") from exc


def _check(spec: ComputeHordeJobSpec) -> None:
    """Raise `InvalidRequestError` for specs that the facilitator would reject."""
    for field, option in LIMITS.items():
        seconds = getattr(spec, field)
        if not isinstance(seconds, int) or seconds < 1:
            raise InvalidRequestError(
                f"{field} ({option}) is a whole number of seconds and at least 1, not {seconds!r}"
            )
    if isinstance(spec.args, str):
        raise InvalidRequestError(f"args is a list of words, not one text: {spec.args!r}")
    if not spec.docker_image or len(spec.docker_image) > MAX_NAME:
        raise InvalidRequestError(f"docker_image takes 1 to {MAX_NAME} characters")
    if len(spec.job_namespace or "") > MAX_NAMESPACE:
        raise InvalidRequestError(f"job_namespace takes up to {MAX_NAMESPACE} characters")
    try:
        ImageName.parse(spec.docker_image)
    except ValueError as exc:
        raise InvalidRequestError(f"docker_image {spec.docker_image!r}: {exc}") from exc
    _check_artifacts_dir(spec.artifacts_dir)


def _check_artifacts_dir(path: str | PurePath | None) -> None:
    if path is not None and (why := mount_paths.artifacts_dir_problem(str(path))):
        raise InvalidRequestError(
            f"artifacts_dir is a path inside the container that starts with /; {str(path)!r} {why}"
        )


def _body(job: JobRequested, spec: ComputeHordeJobSpec, validator: str) -> dict[str, Any]:
    """The body in the key order of the published SDK."""
    body: dict[str, Any] = {
        "target_validator_hotkey": validator,
        "executor_class": job.executor_class.value,
        "docker_image": job.docker_image,
        "job_namespace": job.job_namespace,
        "args": job.args,
        "env": job.env,
        "use_gpu": job.use_gpu,
        "artifacts_dir": job.artifacts_dir,
        "on_trusted_miner": job.on_trusted_miner,
        "download_time_limit": job.download_time_limit,
        "execution_time_limit": job.execution_time_limit,
        "streaming_start_time_limit": job.streaming_start_time_limit,
        "upload_time_limit": job.upload_time_limit,
    }
    if job.streaming_details is not None:
        body["streaming_details"] = {"public_key": job.streaming_details.public_key}
    if spec.input_volumes is not None:
        body["volumes"] = [volume.model_dump() for volume in volumes.simple_volumes(job.volume)]
    if spec.output_volumes is not None:
        body["uploads"] = [upload.model_dump() for upload in uploads.each(job.output_upload)]
    return body


def _below(path: str | PurePath, mount: str, what: str) -> str:
    path = str(path)
    if not path.startswith(mount):
        raise InvalidRequestError(f"{what} paths must start with {mount!r}: {path!r}")
    relative = path.removeprefix(mount)
    if bad := volumes.path_problem(relative):
        raise InvalidRequestError(f"{what} path {path!r} {bad.reason}")
    return relative


def _volume(path: str | PurePath, volume: InputVolume) -> volumes.SimpleVolume:
    relative = _below(path, VOLUME_MOUNT, "input volume")
    match volume:
        case InlineInputVolume():
            return volumes.InlineVolume(contents=volume.contents, relative_path=relative)
        case HTTPInputVolume():
            return volumes.SingleFileVolume(url=volume.url, relative_path=relative)
        case HuggingfaceInputVolume():
            return volumes.HuggingfaceVolume(**volume.model_dump(), relative_path=relative)
    raise InvalidRequestError(f"{type(volume).__name__} is not an input volume")


def _upload(path: str | PurePath, volume: OutputVolume) -> uploads.FilePost | uploads.FilePut:
    relative = _below(path, OUTPUT_MOUNT, "output volume")
    headers = _dict_or_none(volume.signed_headers)
    if volume.http_method == "PUT":
        return uploads.FilePut(url=volume.url, relative_path=relative, signed_headers=headers)
    return uploads.FilePost(
        url=volume.url,
        form_fields=_dict_or_none(volume.form_fields),
        relative_path=relative,
        signed_headers=headers,
    )


def _dict_or_none(details: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if details is None else dict(details)


def _too_big(spec: ComputeHordeJobSpec, size: int) -> str:
    inline = {
        str(path): len(volume.contents)
        for path, volume in (spec.input_volumes or {}).items()
        if isinstance(volume, InlineInputVolume)
    }
    biggest = sorted(inline, key=inline.__getitem__, reverse=True)[:3]
    details = ", ".join(f"{path} ({inline[path]:,} bytes)" for path in biggest)
    cause = f"; the largest inline volumes are {details}" if details else ""
    return (
        f"the request has {size:,} bytes and facilitators relay at most {MAX_BODY_BYTES:,}{cause}. "
        "Put large inputs behind a URL and name them as HTTPInputVolume or HuggingfaceInputVolume"
    )
