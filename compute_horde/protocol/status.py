"""Messages by which a validator reports a job's status to the facilitator."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.protocol.left_out import LeftOuts
from compute_horde.protocol.message import ExitStatus, Message, Port
from compute_horde.protocol.streaming_proof import StreamingProof
from compute_horde.protocol.truncation import RawOutput, Truncated
from compute_horde.receipts import JobUuid
from compute_horde.vocabulary import (
    FailureReason,
    HordeReason,
    JobState,
    Party,
    RejectionReason,
    Stage,
)

Context = dict[str, Any]


class _Details(BaseModel):
    model_config = ConfigDict(frozen=True)


class JobResult(_Details):
    """What the job left behind; further keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    docker_process_stderr: str
    docker_process_stdout: str
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None
    left_out: LeftOuts = ()
    truncated: Truncated = {}
    raw_output: RawOutput = {}


class RejectionDetails(_Details):
    """Who declined, and why."""

    rejected_by: Party
    reason: RejectionReason
    message: str
    context: Context | None = None


class FailureDetails(_Details):
    """How the job failed by its own fault."""

    reason: FailureReason
    stage: Stage
    message: str
    context: Context | None = None
    docker_process_exit_status: ExitStatus | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    truncated: Truncated = {}
    raw_output: RawOutput = {}


class HordeFailureDetails(_Details):
    """How the network failed the job."""

    reported_by: Party
    reason: HordeReason
    message: str
    context: Context | None = None


class StreamingServer(_Details):
    """Where the running job serves."""

    streaming_server_cert: str | None = None
    streaming_server_address: str | None = None
    streaming_server_port: Port | None = None


class StatusMetadata(_Details):
    """At most one block is set, a proof beside its server; further keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    miner_response: JobResult | None = None
    job_rejection_details: RejectionDetails | None = None
    job_failure_details: FailureDetails | None = None
    horde_failure_details: HordeFailureDetails | None = None
    streaming_details: StreamingServer | None = None
    streaming_proof: StreamingProof | None = Field(None, exclude_if=lambda proof: proof is None)


class StatusReported(Message):
    """validator -> facilitator: answered by one `Response`, in order."""

    message_type: Literal["V0JobStatusUpdate"] = "V0JobStatusUpdate"
    uuid: JobUuid
    status: JobState
    metadata: StatusMetadata | None = None
