"""Where a job stands, as a user sees it."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

Context = dict[str, Any] | None


class ComputeHordeJobStatus(StrEnum):
    """The states of a job; the values are those of the wire."""

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

    def is_in_progress(self) -> bool:
        """Whether more is to come."""
        return not (self.is_successful() or self.is_failed())

    def is_successful(self) -> bool:
        """Whether the job did what it was asked."""
        return self is ComputeHordeJobStatus.COMPLETED

    def is_failed(self) -> bool:
        """Whether the job was rejected, broke down or was cancelled, by whoever's fault."""
        return self in _FAILURES

    def is_streaming_ready(self) -> bool:
        """Whether the job is serving right now."""
        return self is ComputeHordeJobStatus.STREAMING_READY


_WORDS = frozenset(map(str, ComputeHordeJobStatus))
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
    """Why the job was declined before anything ran."""

    reason: str
    message: str
    context: Context = None
    rejected_by: str | None = None


@dataclass
class ComputeHordeJobFailure:
    """Why the job failed by its own fault."""

    reason: str
    message: str
    context: Context = None
    stage: str | None = None
    docker_process_exit_status: int | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None


@dataclass
class ComputeHordeHordeFailure:
    """Why the network failed the job."""

    reason: str
    message: str
    reported_by: str
    context: Context = None


JobError = ComputeHordeJobRejection | ComputeHordeJobFailure | ComputeHordeHordeFailure


class StreamingServer(BaseModel):
    """Where a running job serves."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: int | None = None


class JobResponse(BaseModel):
    """What the job left behind."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None


class ComputeHordeJobStatusMetadata(BaseModel):
    """What is known beside the status itself; keys that we do not know are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    job_rejection_details: ComputeHordeJobRejection | None = None
    job_failure_details: ComputeHordeJobFailure | None = None
    horde_failure_details: ComputeHordeHordeFailure | None = None
    streaming_details: StreamingServer | None = None
    streaming_proof: dict[str, Any] | None = None
    miner_response: JobResponse | None = None

    @property
    def error(self) -> JobError | None:
        """The one block that says what went wrong, whatever the status is called."""
        return self.job_rejection_details or self.job_failure_details or self.horde_failure_details


class ComputeHordeJobStatusEntry(BaseModel):
    """A status the job entered, and when."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    created_at: datetime
    status: ComputeHordeJobStatus
    metadata: ComputeHordeJobStatusMetadata | None = None


@dataclass(frozen=True)
class JobProgress:
    """How far a stage is: what is on its way, its bytes so far and, when known, of how many."""

    stage: str
    what: str
    done_bytes: int
    total_bytes: int | None = None


def progress_from(told: Any) -> JobProgress | None:
    """The progress in a facilitator's JSON; None when it cannot be read, for it is only news."""
    try:
        return JobProgress(**told)
    except (TypeError, ValidationError):
        return None


def entry_from(told: Any) -> ComputeHordeJobStatusEntry | None:
    """The entry in a facilitator's JSON, or None for a status that we do not know.

    A newer facilitator may know more states than we do; those are never endings we may miss,
    since every job still ends in one of ours. Anything else malformed is a `ValueError`.
    """
    if not isinstance(told, dict):
        raise ValueError("a status entry is not an object")
    word = told.get("status")
    if isinstance(word, str) and word not in _WORDS:
        return None
    try:
        return ComputeHordeJobStatusEntry.model_validate(told)
    except ValidationError as exc:
        raise ValueError(f"malformed status entry: {exc.error_count()} errors") from exc


def current(history: Iterable[ComputeHordeJobStatusEntry]) -> ComputeHordeJobStatusEntry | None:
    """The entry that says where the job stands: its ending, else the last one.

    Late reports may be filed after the ending; a job that has ended stays so.
    """
    last = None
    for last in history:
        if not last.status.is_in_progress():
            break
    return last
