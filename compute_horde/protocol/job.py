"""Messages about one job, in their usual order."""

import json
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from compute_horde import signing, uploads, volumes
from compute_horde.errors import BadSignature
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.left_out import LeftOuts
from compute_horde.protocol.message import ExitStatus, JobMessage, Message, Port, Seconds
from compute_horde.protocol.streaming_proof import StreamingProof
from compute_horde.protocol.truncation import RawOutput, Truncated
from compute_horde.receipts import JobStartedReceipt, JobUuid, Receipt
from compute_horde.signing import RequestSignature
from compute_horde.uploads import MultiUpload, Upload
from compute_horde.vocabulary import (
    FailureReason,
    GpuPreset,
    HordeReason,
    Party,
    RejectionReason,
    SignatureScope,
    Stage,
)
from compute_horde.volumes import MultiVolume, Volume

Context = dict[str, Any]

# Until 2027-06-30: older reports of a job failure used these keys.
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
    binding: RequestBinding | None = Field(None, exclude_if=lambda binding: binding is None)

    def signed_text(self) -> str:
        """The text that the user signed, including its key order and nulls."""
        job = self.model_dump(mode="json")
        fields = {key: job[key] for key in SIGNED_KEYS}
        fields["artifacts_dir"] = self.artifacts_dir or ""
        fields["volumes"] = _members(job["volume"], "volumes", MultiVolume, self.volume)
        fields["uploads"] = _members(
            job["output_upload"], "uploads", MultiUpload, self.output_upload
        )
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)

    def verify(self) -> str:
        """The signatory's SS58 address; raises `BadSignature` unless it signed all of this job."""
        if self.signature is None:
            raise BadSignature("Signature is empty")
        text = self.signed_text()
        signing.verify_request(self.signature, text, SignatureScope.SIGNED_FIELDS)
        if beyond := self._unsigned_fields(text):
            raise BadSignature(f"the signature does not cover {', '.join(beyond)}")
        if self.binding:
            digest = signing.request_digest(text, self.signature.timestamp_ns)
            self.binding.verify(self.signature.signatory, digest, self.job_namespace)
        return self.signature.signatory

    def _unsigned_fields(self, text: str) -> list[str]:
        """The names of fields whose values the signed text does not contain.

        A job built from the signed text alone is compared with this one, so a field that a later
        version adds counts as unsigned until it is part of the text.
        """
        signed_fields = json.loads(text)
        given = {key: getattr(self, key) for key in UNSIGNED}
        listed = uploads.of(signed_fields.pop("uploads"))
        signed = JobRequested(
            **given,
            **signed_fields,
            volume=volumes.from_members(signed_fields.pop("volumes")),
            output_upload=listed,
        )
        ours = self.model_copy(
            update={
                "volume": volumes.canonical(self.volume),
                "output_upload": uploads.canonical(self.output_upload),
                "artifacts_dir": self.artifacts_dir or "",
            }
        )
        fields = type(self).model_fields
        return [name for name in fields if getattr(ours, name) != getattr(signed, name)]


# Fields that the published signature does not cover, and why each does not affect execution.
UNSIGNED = {
    "signature": "proves the rest; each part of it is checked with it",
    "type": "has one value",
    "message_type": "has one value",
    "uuid": "the facilitator's name for the job; a request is taken once whatever its name",
    "binding": "a signature of its own, over all of the rest and the namespace",
    "job_namespace": "a note; nothing that we do depends on it",
}
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
        """The signatory; raises `BadSignature` unless it signed one of the published forms."""
        if self.signature is None:
            raise BadSignature("Signature is empty")
        report = {
            "job_uuid": self.job_uuid,
            "trusted_job_uuid": self.trusted_job_uuid,
            "details": self.details,
        }
        text, plain = signing.cheat_report_payloads(report)
        try:
            signing.verify_request(self.signature, text, SignatureScope.FULL_REQUEST)
        except BadSignature:
            signing.verify_request(self.signature, plain, SignatureScope.FULL_REQUEST)
        return self.signature.signatory


class Timing(BaseModel):
    """The job's time limits, all in seconds."""

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
        """The signed values: job, address, port, certificate."""
        return self.job_uuid, self.ip, self.port, self.public_key

    def blob(self) -> bytes:
        """The bytes that the miner signs."""
        return signing.colon_text(*self.where())


class ExecutionDone(JobMessage):
    """executor -> miner -> validator: the container exited with 0."""

    message_type: Literal["V0ExecutionDoneRequest"] = "V0ExecutionDoneRequest"
    job_uuid: JobUuid


class JobFinished(JobMessage):
    """executor -> miner -> validator: the result, and what it lacks."""

    message_type: Literal["V0JobFinishedRequest"] = "V0JobFinishedRequest"
    job_uuid: JobUuid
    docker_process_stdout: str
    docker_process_stderr: str
    artifacts: dict[str, str] | None = None
    upload_results: dict[str, str] | None = None
    left_out: LeftOuts = ()
    truncated: Truncated = {}
    raw_output: RawOutput = {}


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
    truncated: Truncated = {}
    raw_output: RawOutput = {}


class HordeFailed(JobMessage):
    """The network is to blame: a timeout, a lost peer, a bug."""

    message_type: Literal["V0HordeFailedRequest"] = "V0HordeFailedRequest"
    job_uuid: JobUuid
    reported_by: Party
    message: str
    reason: HordeReason
    context: Context | None = None
