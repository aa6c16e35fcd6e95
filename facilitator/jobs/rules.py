"""Request bodies, the messages made of them for validators, and the API's view of a job."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from pydantic_core import from_json, to_json

from compute_horde import container_bounds, lifecycle
from compute_horde.deadlines import timed_out
from compute_horde.errors import BadSignature
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.extensions import CancelRequested
from compute_horde.protocol.job import CheatReported, JobRequested, StreamingDetails
from compute_horde.protocol.message import FACILITATOR_FRAME_BYTES, Seconds
from compute_horde.protocol.status import (
    HordeFailureDetails,
    JobResult,
    StatusMetadata,
    StatusReported,
)
from compute_horde.receipts import JobUuid
from compute_horde.signing import RequestSignature
from compute_horde.uploads import MAX_UPLOADS, FileUpload, MultiUpload
from compute_horde.vocabulary import JobState, Party, SignatureScope
from compute_horde.volumes import MAX_VOLUMES, MultiVolume, SimpleVolume, path_problem

# How far a state is in a job's life.
RANK = {state: rank for rank, state in enumerate(lifecycle.MAY_FOLLOW)}
UNFINISHED = lifecycle.UNFINISHED
STATUS_LABELS = {state: state.replace("_", " ").title() for state in JobState} | {
    JobState.HORDE_FAILED: "Failed"
}
OVERSIZE_ADVICE = "put large inputs behind a URL instead of into inline volumes"


def _checked_volume(volume: SimpleVolume) -> SimpleVolume:
    if bad := path_problem(volume.relative_path):
        raise ValueError(f"{bad.path!r} {bad.reason}")
    return volume


def _mount_path(path: str | None) -> str | None:
    if not path:
        return path
    if not path.startswith("/") or ".." in path.split("/") or set(path) & {"\0", ":"}:
        raise ValueError("an absolute path without `..`, colon or NUL")
    return path


def _without_nul(text: str | None) -> str | None:
    if text and "\0" in text:
        raise ValueError("a text without NUL")
    return text


def _checked_json(details: Any) -> Any:
    """Refuse what JSON cannot carry as it was signed: infinities, NaN and deep nesting."""
    if from_json(to_json(details, inf_nan_mode="null")) != details:
        raise ValueError("finite numbers only")
    return details


Text = Annotated[str, AfterValidator(_without_nul)]


class JobBody(BaseModel):
    """The HTTP body that asks for a job; objects in it keep the order of their keys."""

    target_validator_hotkey: Annotated[Text, Field(min_length=1, max_length=64)]
    executor_class: ExecutorClass
    docker_image: Annotated[Text, Field(min_length=1, max_length=255)]
    job_namespace: Annotated[Text, Field(max_length=100)] | None = None
    args: container_bounds.Arguments | None = None
    env: container_bounds.Variables | None = None
    use_gpu: bool = False
    artifacts_dir: Annotated[str | None, Field(max_length=255), AfterValidator(_mount_path)] = None
    on_trusted_miner: bool = False
    download_time_limit: Seconds = 0
    execution_time_limit: Seconds = 0
    streaming_start_time_limit: Seconds = 0
    upload_time_limit: Seconds = 0
    streaming_details: StreamingDetails | None = None
    volumes: (
        Annotated[
            list[Annotated[SimpleVolume, AfterValidator(_checked_volume)]],
            Field(max_length=MAX_VOLUMES, fail_fast=True),
        ]
        | None
    ) = None
    uploads: Annotated[list[FileUpload], Field(max_length=MAX_UPLOADS, fail_fast=True)] | None = (
        None
    )
    tag: Annotated[Text, Field(max_length=255)] = ""

    @model_validator(mode="after")
    def _check_container_bounds(self) -> Self:
        if why := container_bounds.excess(self.args or [], self.env or {}, self.artifacts_dir):
            raise ValueError(why)
        return self

    def request(
        self, uuid: str, signature: RequestSignature, binding: RequestBinding | None = None
    ) -> JobRequested:
        """The message that asks the validator to run the job."""
        return JobRequested(
            signature=signature,
            binding=binding,
            uuid=uuid,
            job_namespace=self.job_namespace,
            executor_class=self.executor_class,
            docker_image=self.docker_image,
            args=self.args or [],
            env=self.env or {},
            use_gpu=self.use_gpu,
            volume=MultiVolume(volumes=self.volumes) if self.volumes else None,
            output_upload=MultiUpload(uploads=self.uploads) if self.uploads else None,
            artifacts_dir=self.artifacts_dir,
            on_trusted_miner=self.on_trusted_miner,
            download_time_limit=self.download_time_limit,
            execution_time_limit=self.execution_time_limit,
            upload_time_limit=self.upload_time_limit,
            streaming_start_time_limit=self.streaming_start_time_limit,
            streaming_details=self.streaming_details,
        )


class CheatBody(BaseModel):
    """The HTTP body that reports a wrong answer of a job."""

    job_uuid: JobUuid
    trusted_job_uuid: JobUuid
    details: Annotated[Any, AfterValidator(_checked_json)] = None

    def message(self, signature: RequestSignature) -> CheatReported:
        """The report as a message for the validator."""
        return CheatReported(
            signature=signature,
            job_uuid=self.job_uuid,
            trusted_job_uuid=self.trusted_job_uuid,
            details=self.details,
        )


def signature_from_headers(headers: Mapping[str, str]) -> RequestSignature | None:
    """The signature in the `X-CH-*` headers, or None when one is missing or malformed."""
    try:
        return RequestSignature.model_validate(
            {
                "signature_type": headers["X-CH-Signature-Type"],
                "signatory": headers["X-CH-Signatory"],
                "timestamp_ns": headers["X-CH-Timestamp-NS"],
                "signature": headers["X-CH-Signature"],
                "signature_scope": headers.get(
                    "X-CH-Signature-Scope", SignatureScope.SIGNED_FIELDS
                ),
            }
        )
    except (KeyError, ValidationError):
        return None


def check_signature(
    request: JobRequested | CheatReported | CancelRequested,
    *,
    by: str,
    now_ns: int,
    max_age_seconds: float,
    max_ahead_seconds: float,
) -> None:
    """Raise `BadSignature` unless hotkey `by` signed this request, and signed it recently."""
    signature = request.signature
    if signature is None:
        raise BadSignature("Signature is empty")
    if signature.signatory != by:
        raise BadSignature(f"signed by {signature.signatory} but logged in as {by}")
    age = (now_ns - signature.timestamp_ns) / 1e9
    if age > max_age_seconds:
        raise BadSignature(f"signed {age:.0f} s ago; at most {max_age_seconds:.0f} s are accepted")
    if age < -max_ahead_seconds:
        raise BadSignature(f"signed {-age:.0f} s in the future; check your clock")
    request.verify()


def oversize_problem(frame: str) -> str | None:
    """The error text for a frame longer than validators accept, or None."""
    size = len(frame.encode())
    if size <= FACILITATOR_FRAME_BYTES:
        return None
    return f"it is {size} bytes long, {FACILITATOR_FRAME_BYTES} are allowed; {OVERSIZE_ADVICE}"


def overdue_at(job: JobRequested, *, now: datetime, spare_seconds: float) -> datetime:
    """When a job is overdue: after all its time limits and `spare_seconds`."""
    limits = (
        job.download_time_limit
        + job.streaming_start_time_limit
        + job.execution_time_limit
        + job.upload_time_limit
    )
    return now + timedelta(seconds=min(limits, 10 * 365 * 86400) + spare_seconds)


def abandoned_report(uuid: str, state: JobState, text: str) -> StatusReported:
    """The failure that the facilitator records for a job its validator left unfinished."""
    details = HordeFailureDetails(
        reported_by=Party.FACILITATOR,
        reason=timed_out(state, streaming=False),
        message=text,
        context={"state": str(state)},
    )
    return StatusReported(
        uuid=uuid,
        status=JobState.HORDE_FAILED,
        metadata=StatusMetadata(horde_failure_details=details),
    )


class StatusEvent(NamedTuple):
    """A stored status: its row id, when it arrived and the report itself."""

    id: int
    at: datetime
    report: StatusReported

    @property
    def rank(self) -> int:
        """How far this status is in a job's life; final statuses rank highest."""
        return RANK.get(self.report.status, len(RANK))

    @property
    def is_end(self) -> bool:
        """Whether the status is final."""
        return self.report.status in lifecycle.FINAL

    def entry(self, at: datetime | None = None) -> dict[str, Any]:
        """The status as the API returns it; `at` replaces the time shown."""
        metadata = self.report.metadata
        return {
            "status": str(self.report.status),
            "metadata": metadata.model_dump(mode="json", exclude_none=True) if metadata else {},
            "created_at": iso_timestamp(at or self.at),
        }


def iso_timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def advancing(events: Sequence[StatusEvent]) -> list[StatusEvent]:
    """The statuses that rank higher than all before them; late ones are left out."""
    furthest = accumulate((one.rank for one in events), max, initial=-1)
    return [one for one, before in zip(events, furthest, strict=False) if one.rank > before]


def history(events: Sequence[StatusEvent]) -> list[dict[str, Any]]:
    """All statuses, ordered by rank, with times that never decrease.

    A status that arrived late is shown with the time of the one it precedes: clients read the last
    entry as the present state.
    """
    ordered = sorted(events, key=lambda one: (one.rank, one.id))
    times = list(accumulate((one.at for one in reversed(ordered)), min))
    return [one.entry(at) for one, at in zip(ordered, reversed(times), strict=True)]


# Shown for a job whose stored request this version cannot parse.
UNREADABLE: dict[str, Any] = {"executor_class": "", "docker_image": "", "args": [], "env": {}}


def job_object(
    request: JobRequested | None,
    uuid: str,
    events: Sequence[StatusEvent],
    *,
    created_at: datetime,
    validator: str,
    tag: str,
) -> dict[str, Any]:
    """The job as the API returns it (protocol §3.6); `request` is None if unreadable."""
    last = max(events, key=lambda one: (one.rank, one.id))
    fields = _request_fields(request) if request else UNREADABLE | {"uuid": uuid}
    client = fields.pop("streaming_details", None)
    return fields | {
        "created_at": iso_timestamp(created_at),
        "last_update": iso_timestamp(max(one.at for one in events)),
        "status": STATUS_LABELS[last.report.status],
        "tag": tag,
        "volumes": _unwrapped(request and request.volume, "volumes"),
        "uploads": _unwrapped(request and request.output_upload, "uploads"),
        "target_validator_hotkey": validator,
        "streaming_client_cert": client["public_key"] if client else "",
        **_result(last),
        **_streaming_server(events),
        "status_history": history(events),
    }


def _request_fields(request: JobRequested) -> dict[str, Any]:
    return request.model_dump(
        mode="json",
        exclude={"signature", "type", "message_type", "volume", "output_upload", "binding"},
    )


def _unwrapped(wrapped: BaseModel | None, key: str) -> list[Any]:
    return list(wrapped.model_dump(mode="json")[key]) if wrapped else []


def _result(last: StatusEvent) -> dict[str, Any]:
    """The job's result fields; of a failed job its output."""
    metadata = last.report.metadata
    result = metadata.miner_response if metadata else None
    if metadata and (failure := metadata.job_failure_details) and not result:
        result = JobResult(
            docker_process_stdout=failure.docker_process_stdout or "",
            docker_process_stderr=failure.docker_process_stderr or "",
            truncated=failure.truncated,
            raw_output=failure.raw_output,
        )
    extension_fields = {"left_out", "truncated", "raw_output"}
    extensions = result.model_dump(mode="json", include=extension_fields) if result else {}
    return extensions | {
        "stdout": result.docker_process_stdout if result else "",
        "stderr": result.docker_process_stderr if result else "",
        "artifacts": (result.artifacts if result else None) or {},
        "upload_results": (result.upload_results if result else None) or {},
    }


def _streaming_server(events: Sequence[StatusEvent]) -> dict[str, Any]:
    """Address and certificate of a streaming job's server; empty until it is ready."""
    found = (
        one.report.metadata
        for one in events
        if one.report.metadata and one.report.metadata.streaming_details
    )
    metadata = next(found, None)
    server = metadata.streaming_details if metadata else None
    proof = metadata.streaming_proof if metadata else None
    return ({"streaming_proof": proof.model_dump(mode="json")} if proof else {}) | {
        "streaming_server_cert": (server and server.streaming_server_cert) or "",
        "streaming_server_address": (server and server.streaming_server_address) or "",
        "streaming_server_port": (server and server.streaming_server_port) or 0,
    }
