"""What may be asked of us, how it is said to validators and how a job is shown to its owner."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import from_json, to_json

from compute_horde import lifecycle
from compute_horde.deadlines import timed_out
from compute_horde.errors import BadSignature
from compute_horde.hardware import ExecutorClass
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
from compute_horde.volumes import MAX_VOLUMES, MultiVolume, SimpleVolume, taint

RANK = {state: rank for rank, state in enumerate(lifecycle.MAY_FOLLOW)}
UNFINISHED = tuple(lifecycle.MAY_FOLLOW)
LABELS = {state: state.replace("_", " ").title() for state in JobState} | {
    JobState.HORDE_FAILED: "Failed"
}
REMEDY = "put large inputs behind a URL instead of into inline volumes"


def _inside(volume: SimpleVolume) -> SimpleVolume:
    if bad := taint(volume.relative_path):
        raise ValueError(f"{bad.path!r} {bad.reason}")
    return volume


def _mountable(path: str | None) -> str | None:
    if not path:
        return path
    if not path.startswith("/") or ".." in path.split("/") or set(path) & {"\0", ":"}:
        raise ValueError("an absolute path without `..`, colon or NUL")
    return path


def _storable(text: str | None) -> str | None:
    if text and "\0" in text:
        raise ValueError("a text without NUL")
    return text


def _sayable(details: Any) -> Any:
    """Refuse what a frame would not say as it was signed: infinities and nests too deep."""
    if from_json(to_json(details, inf_nan_mode="null")) != details:
        raise ValueError("finite numbers only")
    return details


Text = Annotated[str, AfterValidator(_storable)]
Words = Annotated[list[str], Field(max_length=10_000)]


class JobBody(BaseModel):
    """What a user posts to have a job run; the signed part keeps the order of its keys."""

    target_validator_hotkey: Annotated[Text, Field(min_length=1, max_length=64)]
    executor_class: ExecutorClass
    docker_image: Annotated[Text, Field(min_length=1, max_length=255)]
    job_namespace: Annotated[Text, Field(max_length=100)] | None = None
    args: Words | None = None
    env: dict[str, str] | None = None
    use_gpu: bool = False
    artifacts_dir: Annotated[str | None, Field(max_length=255), AfterValidator(_mountable)] = None
    on_trusted_miner: bool = False
    download_time_limit: Seconds = 0
    execution_time_limit: Seconds = 0
    streaming_start_time_limit: Seconds = 0
    upload_time_limit: Seconds = 0
    streaming_details: StreamingDetails | None = None
    volumes: (
        Annotated[
            list[Annotated[SimpleVolume, AfterValidator(_inside)]], Field(max_length=MAX_VOLUMES)
        ]
        | None
    ) = None
    uploads: Annotated[list[FileUpload], Field(max_length=MAX_UPLOADS)] | None = None
    tag: Annotated[Text, Field(max_length=255)] = ""

    def request(self, uuid: str, signature: RequestSignature) -> JobRequested:
        """The job as it is said to the validator."""
        return JobRequested(
            signature=signature,
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
    """What a user posts to report that a job was answered wrongly."""

    job_uuid: JobUuid
    trusted_job_uuid: JobUuid
    details: Annotated[Any, AfterValidator(_sayable)] = None

    def message(self, signature: RequestSignature) -> CheatReported:
        """The report as it is said to the validator."""
        return CheatReported(
            signature=signature,
            job_uuid=self.job_uuid,
            trusted_job_uuid=self.trusted_job_uuid,
            details=self.details,
        )


def signature_in(headers: Mapping[str, str]) -> RequestSignature | None:
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
    """Raise `BadSignature` unless `by` signed exactly this, and lately."""
    signature = request.signature
    wanted = (
        SignatureScope.SIGNED_FIELDS
        if isinstance(request, JobRequested)
        else SignatureScope.FULL_REQUEST
    )
    if signature is None or signature.signature_scope is not wanted:
        raise BadSignature(f"the signature's scope must be {wanted}")
    if signature.signatory != by:
        raise BadSignature(f"signed by {signature.signatory} but logged in as {by}")
    age = (now_ns - signature.timestamp_ns) / 1e9
    if age > max_age_seconds:
        raise BadSignature(f"signed {age:.0f} s ago; at most {max_age_seconds:.0f} s are accepted")
    if age < -max_ahead_seconds:
        raise BadSignature(f"signed {-age:.0f} s in the future; check your clock")
    request.verify()


def oversize(frame: str) -> str | None:
    """What to say of a frame too long for a validator to hear, or None."""
    size = len(frame.encode())
    if size <= FACILITATOR_FRAME_BYTES:
        return None
    return f"it is {size} bytes long, {FACILITATOR_FRAME_BYTES} are allowed; {REMEDY}"


def overdue_at(job: JobRequested, *, now: datetime, spare_seconds: float) -> datetime:
    """When a job has taken longer than anybody allowed."""
    limits = (
        job.download_time_limit
        + job.streaming_start_time_limit
        + job.execution_time_limit
        + job.upload_time_limit
    )
    return now + timedelta(seconds=min(limits, 10 * 365 * 86400) + spare_seconds)


def given_up(uuid: str, state: JobState, text: str) -> StatusReported:
    """What we ourselves say of a job that its validator left unfinished."""
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


class Told(NamedTuple):
    """A stored status: its number, when it came and what it said."""

    id: int
    at: datetime
    report: StatusReported

    @property
    def rank(self) -> int:
        """How far along the job's life this status lies."""
        return RANK.get(self.report.status, len(RANK))

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self.report.status in lifecycle.FINAL

    def entry(self, at: datetime | None = None) -> dict[str, Any]:
        """The status as its owner sees it."""
        metadata = self.report.metadata
        return {
            "status": str(self.report.status),
            "metadata": metadata.model_dump(mode="json", exclude_none=True) if metadata else {},
            "created_at": moment(at or self.at),
        }


def moment(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moves(told: Sequence[Told]) -> list[Told]:
    """The statuses that took the job further when they came; latecomers are left out."""
    furthest = accumulate((one.rank for one in told), max, initial=-1)
    return [one for one, before in zip(told, furthest, strict=False) if one.rank > before]


def history(told: Sequence[Told]) -> list[dict[str, Any]]:
    """All statuses in the order of a job's life, which is also that of their times.

    A status that came late is shown no later than what it precedes: clients read the last entry
    as the present state.
    """
    ordered = sorted(told, key=lambda one: (one.rank, one.id))
    times = list(accumulate((one.at for one in reversed(ordered)), min))
    return [one.entry(at) for one, at in zip(ordered, reversed(times), strict=True)]


def job_object(
    request: JobRequested,
    told: Sequence[Told],
    *,
    created_at: datetime,
    validator: str,
    tag: str,
) -> dict[str, Any]:
    """The job as its owner sees it (protocol §3.6)."""
    last = max(told, key=lambda one: (one.rank, one.id))
    asked = request.model_dump(
        mode="json",
        exclude={"signature", "type", "message_type", "volume", "output_upload"},
    )
    client = asked.pop("streaming_details")
    return asked | {
        "created_at": moment(created_at),
        "last_update": moment(max(one.at for one in told)),
        "status": LABELS[last.report.status],
        "tag": tag,
        "volumes": _listed(request.volume, "volumes"),
        "uploads": _listed(request.output_upload, "uploads"),
        "target_validator_hotkey": validator,
        "streaming_client_cert": client["public_key"] if client else "",
        **_result(last),
        **_server(told),
        "status_history": history(told),
    }


def _listed(wrapped: BaseModel | None, key: str) -> list[Any]:
    return list(wrapped.model_dump(mode="json")[key]) if wrapped else []


def _result(last: Told) -> dict[str, Any]:
    """What the job left behind; of a failed one, what it printed."""
    metadata = last.report.metadata
    left = metadata.miner_response if metadata else None
    if metadata and (failure := metadata.job_failure_details) and not left:
        left = JobResult(
            docker_process_stdout=failure.docker_process_stdout or "",
            docker_process_stderr=failure.docker_process_stderr or "",
        )
    return {
        "stdout": left.docker_process_stdout if left else "",
        "stderr": left.docker_process_stderr if left else "",
        "artifacts": (left.artifacts if left else None) or {},
        "upload_results": (left.upload_results if left else None) or {},
    }


def _server(told: Sequence[Told]) -> dict[str, Any]:
    """Where the job serves, once it does."""
    found = (
        one.report.metadata
        for one in told
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
