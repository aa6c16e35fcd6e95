"""What is said about one job, in the order it is normally said."""

import json
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.message import ExitStatus, JobMessage, Message, Port, Seconds
from compute_horde.protocol.proof import StreamingProof
from compute_horde.receipts import JobStartedReceipt, JobUuid, Receipt
from compute_horde.signing import RequestSignature
from compute_horde.uploads import MultiUpload, Upload
from compute_horde.vocabulary import (
    FailureReason,
    GpuPreset,
    HordeReason,
    Party,
    RejectionReason,
    Stage,
)
from compute_horde.volumes import MultiVolume, Volume

Context = dict[str, Any]

# Until 2027-06-30: reports of a job failure once used these keys.
OLD_MESSAGE = AliasChoices("message", "error_detail")
OLD_REASON = AliasChoices("reason", "error_type")


class StreamingDetails(BaseModel):
    """The user's client certificate (PEM); the miner fills in the executor's address."""

    model_config = ConfigDict(frozen=True)

    public_key: str
    executor_ip: str | None = None


class JobRequested(Message):
    """facilitator -> validator: a user's signed job. An unsigned one is the validator's own."""

    signature: RequestSignature | None = None
    type: Literal["job.new"] = "job.new"
    message_type: Literal["V2JobRequest"] = "V2JobRequest"
    uuid: JobUuid
    job_namespace: str | None = None
    executor_class: ExecutorClass
    docker_image: str
    args: list[str]
    env: dict[str, str]
    use_gpu: bool = True
    volume: Volume | None = None
    output_upload: Upload | None = None
    artifacts_dir: str | None = None
    on_trusted_miner: bool = False
    download_time_limit: Seconds
    execution_time_limit: Seconds
    upload_time_limit: Seconds
    streaming_start_time_limit: Seconds
    streaming_details: StreamingDetails | None = None

    def signed_text(self) -> str:
        """What the user signed (protocol §2.4): its key order and nulls are part of it."""
        job = self.model_dump(mode="json")
        fields = {key: job[key] for key in SIGNED_KEYS}
        fields["artifacts_dir"] = self.artifacts_dir or ""
        fields["volumes"] = _members(job["volume"], "volumes", MultiVolume, self.volume)
        fields["uploads"] = _members(
            job["output_upload"], "uploads", MultiUpload, self.output_upload
        )
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)

    def verify(self) -> str:
        """The signatory's SS58 address; `BadSignature` unless it signed this job."""
        if self.signature is None:
            raise BadSignature("Signature is empty")
        signing.verify_request(self.signature, self.signed_text())
        return self.signature.signatory


SIGNED_KEYS = (
    "executor_class",
    "docker_image",
    "args",
    "env",
    "use_gpu",
    "artifacts_dir",
    "on_trusted_miner",
    "download_time_limit",
    "execution_time_limit",
    "upload_time_limit",
    "streaming_start_time_limit",
    "streaming_details",
)


def _members(dumped: Any, key: str, multi: type[BaseModel], value: BaseModel | None) -> list[Any]:
    if value is None:
        return []
    return list(dumped[key]) if isinstance(value, multi) else [dumped]


class CheatReported(Message):
    """facilitator -> validator: a user holds a trusted job that answered otherwise."""

    signature: RequestSignature | None = None
    type: Literal["job.cheated"] = "job.cheated"
    message_type: Literal["V0JobCheated"] = "V0JobCheated"
    job_uuid: JobUuid
    trusted_job_uuid: JobUuid
    details: Any = None

    def verify(self) -> str:
        """The signatory, who may have signed either published form; else `BadSignature`."""
        if self.signature is None:
            raise BadSignature("Signature is empty")
        report = {
            "job_uuid": self.job_uuid,
            "trusted_job_uuid": self.trusted_job_uuid,
            "details": self.details,
        }
        text, plain = signing.cheat_report_payloads(report)
        try:
            signing.verify_request(self.signature, text)
        except BadSignature:
            signing.verify_request(self.signature, plain)
        return self.signature.signatory


class Timing(BaseModel):
    """The job's time limits, all in seconds (protocol §5.4)."""

    model_config = ConfigDict(frozen=True)

    allowed_leeway: Seconds
    download_time_limit: Seconds
    execution_time_limit: Seconds
    upload_time_limit: Seconds
    streaming_start_time_limit: Seconds


class ValidatorSigned(JobMessage):
    """A message whose `validator_signature` covers all its other keys."""

    def signed(self, validator: signing.Signer) -> Self:
        """This message with its validator signature."""
        blob = signing.validator_signed_text(self.model_dump(mode="json"))
        return self.model_copy(update={"validator_signature": signing.signed_hex(validator, blob)})


class JobOffered(ValidatorSigned):
    """validator -> miner -> executor: reserve an executor; the payload follows."""

    validator_signature: str | None = None
    message_type: Literal["V0InitialJobRequest"] = "V0InitialJobRequest"
    job_uuid: JobUuid
    executor_class: ExecutorClass
    docker_image: str | None = None
    timeout_seconds: Seconds | None = None
    volume: Volume | None = None
    job_started_receipt_payload: JobStartedReceipt
    job_started_receipt_signature: str
    streaming_details: StreamingDetails | None = None
    executor_timing: Timing | None = None


class JobAccepted(JobMessage):
    """miner -> validator: an executor is reserved."""

    message_type: Literal["V0AcceptJobRequest"] = "V0AcceptJobRequest"
    job_uuid: JobUuid


class JobDeclined(JobMessage):
    """miner -> validator: not this job; `receipts` excuse a busy miner."""

    message_type: Literal["V0DeclineJobRequest"] = "V0DeclineJobRequest"
    job_uuid: JobUuid
    message: str = ""
    reason: RejectionReason = RejectionReason.UNKNOWN
    receipts: list[Receipt] = []
    context: Context | None = None


class ExecutorReady(JobMessage):
    """executor -> miner -> validator: checks passed, send the full job."""

    message_type: Literal["V0ExecutorReadyRequest"] = "V0ExecutorReadyRequest"
    job_uuid: JobUuid
    executor_token: str | None = None


class JobPayload(ValidatorSigned):
    """validator -> miner -> executor: the full job."""

    validator_signature: str | None = None
    message_type: Literal["V0JobRequest"] = "V0JobRequest"
    job_uuid: JobUuid
    executor_class: ExecutorClass
    docker_image: str
    raw_script: str | None = None
    docker_run_options_preset: GpuPreset
    docker_run_cmd: list[str]
    env: dict[str, str] = {}
    volume: Volume | None = None
    output_upload: Upload | None = None
    artifacts_dir: str | None = None


class VolumesReady(JobMessage):
    """executor -> miner -> validator: the inputs are in place."""

    message_type: Literal["V0VolumesReadyRequest"] = "V0VolumesReadyRequest"
    job_uuid: JobUuid


class StreamingReady(JobMessage):
    """executor -> miner -> validator: the job serves; the miner adds `ip` and its signature.

    `proof` is what the validator adds for the user; nobody else is believed in it.
    """

    message_type: Literal["V0StreamingJobReadyRequest"] = "V0StreamingJobReadyRequest"
    job_uuid: JobUuid
    executor_token: str | None = None
    public_key: str
    ip: str | None = None
    port: Port
    miner_signature: str | None = None
    proof: StreamingProof | None = Field(None, exclude_if=lambda proof: proof is None)

    def where(self) -> tuple[str, str | None, int, str]:
        """What is signed: job, address, port, certificate."""
        return self.job_uuid, self.ip, self.port, self.public_key

    def blob(self) -> bytes:
        """The bytes the miner signs."""
        return signing.colon_text(*self.where())


class ExecutionDone(JobMessage):
    """executor -> miner -> validator: the container exited with 0."""

    message_type: Literal["V0ExecutionDoneRequest"] = "V0ExecutionDoneRequest"
    job_uuid: JobUuid


class JobFinished(JobMessage):
    """executor -> miner -> validator: the result."""

    message_type: Literal["V0JobFinishedRequest"] = "V0JobFinishedRequest"
    job_uuid: JobUuid
    docker_process_stdout: str
    docker_process_stderr: str
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None


class JobFailed(JobMessage):
    """The user's image, data or command is to blame."""

    message_type: Literal["V0JobFailedRequest"] = "V0JobFailedRequest"
    job_uuid: JobUuid
    message: str = Field("", validation_alias=OLD_MESSAGE)
    reason: FailureReason = Field(FailureReason.UNKNOWN, validation_alias=OLD_REASON)
    stage: Stage = Stage.UNKNOWN
    docker_process_exit_status: ExitStatus | None = None
    docker_process_stdout: str | None = None
    docker_process_stderr: str | None = None
    context: Context | None = None


class HordeFailed(JobMessage):
    """The network is to blame: a timeout, a lost peer, a bug."""

    message_type: Literal["V0HordeFailedRequest"] = "V0HordeFailedRequest"
    job_uuid: JobUuid
    reported_by: Party
    message: str
    reason: HordeReason
    context: Context | None = None
