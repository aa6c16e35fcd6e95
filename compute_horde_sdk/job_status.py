"""Job statuses, their metadata and errors, as a user sees them."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

Context = dict[str, Any] | None


class ComputeHordeJobStatus(StrEnum):
    """The statuses of a job; the values are those of the protocol."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    STREAMING_READY = "streaming_ready"
    EXECUTOR_READY = "executor_ready"
    VOLUMES_READY = "volumes_ready"
    EXECUTION_DONE = "execution_done"
    COMPLETED = "completed"
    FAILED = "failed"
    HORDE_FAILED = "horde_failed"
    CANCELLED = "cancelled"

    @classmethod
    def end_states(cls) -> set["ComputeHordeJobStatus"]:
        """The final statuses."""
        return {status for status in cls if not status.is_in_progress()}

    def is_in_progress(self) -> bool:
        """Whether the job has not ended yet."""
        return not (self.is_successful() or self.is_failed())

    def is_successful(self) -> bool:
        """Whether the job completed."""
        return self is ComputeHordeJobStatus.COMPLETED

    def is_failed(self) -> bool:
        """Whether the job was rejected, failed or was cancelled, whoever is at fault."""
        return self in _FAILURES

    def is_streaming_ready(self) -> bool:
        """Whether this is the status in which the streaming server became ready."""
        return self is ComputeHordeJobStatus.STREAMING_READY


_KNOWN_STATUSES = frozenset(map(str, ComputeHordeJobStatus))
_FAILURES = frozenset(
    {
        ComputeHordeJobStatus.REJECTED,
        ComputeHordeJobStatus.FAILED,
        ComputeHordeJobStatus.HORDE_FAILED,
        ComputeHordeJobStatus.CANCELLED,
    }
)


@dataclass
class ComputeHordeJobRejection:
    """Why the job was rejected before anything ran."""

    reason: str
    message: str
    context: Context = None
    rejected_by: str | None = None


@dataclass
class ComputeHordeJobFailure:
    """Why the job itself failed, as opposed to the network."""

    reason: str
    message: str
    context: Context = None
    stage: str | None = None
    docker_process_exit_status: int | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    # For each stream whose middle is missing here: the number of bytes printed to it.
    truncated: Any = None
    raw_output: Any = None


@dataclass
class ComputeHordeHordeFailure:
    """Why the job failed because of the network: validator, miner or facilitator."""

    reason: str
    message: str
    reported_by: str
    context: Context = None


JobError = ComputeHordeJobRejection | ComputeHordeJobFailure | ComputeHordeHordeFailure


class StreamingServer(BaseModel):
    """Address and certificate of a job's streaming server."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None


class JobResponse(BaseModel):
    """Output, artifacts and upload results of a job, as on the wire."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None
    left_out: Any = None
    truncated: Any = None
    raw_output: Any = None


class ComputeHordeJobStatusMetadata(BaseModel):
    """Details of a status; unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    job_rejection_details: ComputeHordeJobRejection | None = None
    job_failure_details: ComputeHordeJobFailure | None = None
    horde_failure_details: ComputeHordeHordeFailure | None = None
    streaming_details: StreamingServer | None = None
    streaming_proof: dict[str, Any] | None = None
    miner_response: JobResponse | None = None

    @property
    def error(self) -> JobError | None:
        """The error details, whatever the status is; None without an error."""
        return self.job_rejection_details or self.job_failure_details or self.horde_failure_details


class ComputeHordeJobStatusEntry(BaseModel):
    """A status that the job entered, and when."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    created_at: datetime
    status: ComputeHordeJobStatus
    metadata: ComputeHordeJobStatusMetadata | None = None


@dataclass(frozen=True)
class JobProgress:
    """Download progress of a stage: what is downloaded, bytes done and, if known, in total."""

    stage: str
    what: str
    done_bytes: int
    total_bytes: int | None = None


def progress_from(value: Any) -> JobProgress | None:
    """Parse progress in a facilitator's JSON; None when malformed, since progress is optional."""
    try:
        return JobProgress(**value)
    except (TypeError, ValidationError):
        return None


def entry_from(value: Any) -> ComputeHordeJobStatusEntry | None:
    """Parse a status entry in a facilitator's JSON; None for an unknown status.

    A newer facilitator may have more statuses, but every job still ends in one of those here.
    Raises `ValueError` for anything else that is malformed.
    """
    if not isinstance(value, dict):
        raise ValueError("a status entry is not an object")
    word = value.get("status")
    if isinstance(word, str) and word not in _KNOWN_STATUSES:
        return None
    try:
        return ComputeHordeJobStatusEntry.model_validate(value)
    except ValidationError as exc:
        raise ValueError(f"malformed status entry: {exc.error_count()} errors") from exc


def current(history: Iterable[ComputeHordeJobStatusEntry]) -> ComputeHordeJobStatusEntry | None:
    """The first final entry, else the last entry; None for an empty history.

    Entries that arrive after the final one do not change the job's status.
    """
    last = None
    for last in history:
        if not last.status.is_in_progress():
            break
    return last
