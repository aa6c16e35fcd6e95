"""What the facilitator is told of a job: facts turned into statuses (protocol §4.5)."""

from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import (
    HordeFailed,
    JobDeclined,
    JobFailed,
    JobFinished,
    StreamingReady,
)
from compute_horde.protocol.message import REPORT_FRAME_BYTES, Message
from compute_horde.protocol.status import (
    FailureDetails,
    HordeFailureDetails,
    JobResult,
    RejectionDetails,
    StatusMetadata,
    StatusReported,
    StreamingServer,
)
from compute_horde.vocabulary import Extension, FailureReason, JobState, Party

# What remains when a result does not fit: enough to see what happened.
KEPT_CHARACTERS = 2**20
DROPPED = (
    "\n[validator] The artifacts were dropped: with them the result is larger than the facilitator"
    " takes. Ask for an output upload instead.\n"
)
CUT = "\n[validator] The output was cut: it is larger than the facilitator takes.\n"


def status(
    job_uuid: str, state: JobState, message: Message | None, said_by: Party
) -> StatusReported:
    """The status for a state that `message` led to, small enough to be sent."""
    report = _status(job_uuid, state, message, said_by)
    if message is None or _fits(report):
        return report
    if isinstance(message, JobFinished) and message.artifacts:
        message = message.model_copy(
            update={
                "artifacts": None,
                "docker_process_stderr": message.docker_process_stderr + DROPPED,
            }
        )
        report = _status(job_uuid, state, message, said_by)
    return report if _fits(report) else _status(job_uuid, state, _cut(message), said_by)


def understandable(report: StatusReported, facilitator: frozenset[Extension]) -> StatusReported:
    """The same in words that a facilitator which announced these extensions knows."""
    if report.status is not JobState.CANCELLED or Extension.CANCEL in facilitator:
        return report
    metadata = report.metadata
    if metadata and metadata.job_failure_details:
        unknown = {"reason": FailureReason.UNKNOWN}
        details = metadata.job_failure_details.model_copy(update=unknown)
        metadata = metadata.model_copy(update={"job_failure_details": details})
    return report.model_copy(update={"status": JobState.FAILED, "metadata": metadata})


def _fits(report: StatusReported) -> bool:
    return len(report.encode().encode("utf-8", "surrogatepass")) <= REPORT_FRAME_BYTES


def _cut(message: Message) -> Message:
    """What a peer said at too great length: each text cut, and what has no bound left out."""
    said = {name: getattr(message, name) for name in type(message).model_fields}
    texts = {
        name: text[:KEPT_CHARACTERS] + CUT
        for name, text in said.items()
        if isinstance(text, str) and len(text) > KEPT_CHARACTERS
    }
    unbounded = dict.fromkeys(("artifacts", "upload_results", "context"))
    return message.model_copy(update=texts | {k: v for k, v in unbounded.items() if k in said})


def _status(
    job_uuid: str, state: JobState, message: Message | None, said_by: Party
) -> StatusReported:
    metadata = _metadata(message, said_by)
    return StatusReported(uuid=job_uuid, status=state, metadata=metadata)


def _metadata(message: Message | None, said_by: Party) -> StatusMetadata | None:
    match message:
        case JobFinished():
            return StatusMetadata(miner_response=_result(message))
        case JobDeclined():
            details = RejectionDetails(
                rejected_by=said_by,
                reason=message.reason,
                message=message.message,
                context=message.context,
            )
            return StatusMetadata(job_rejection_details=details)
        case JobFailed():
            failure = FailureDetails(**message.model_dump(exclude={"message_type", "job_uuid"}))
            return StatusMetadata(job_failure_details=failure)
        case JobCancelled():
            ended = message.model_dump(exclude={"message_type", "job_uuid", "reported_by"})
            cancelled = FailureDetails(reason=FailureReason.CANCELLED, **ended)
            return StatusMetadata(job_failure_details=cancelled)
        case HordeFailed():
            lost = HordeFailureDetails(**message.model_dump(exclude={"message_type", "job_uuid"}))
            return StatusMetadata(horde_failure_details=lost)
        case StreamingReady():
            server = StreamingServer(
                streaming_server_cert=message.public_key,
                streaming_server_address=message.ip,
                streaming_server_port=message.port,
            )
            return StatusMetadata(streaming_details=server, streaming_proof=message.proof)
        case _:
            return None


def _result(message: JobFinished) -> JobResult:
    return JobResult(
        docker_process_stdout=message.docker_process_stdout,
        docker_process_stderr=message.docker_process_stderr,
        artifacts=message.artifacts,
        upload_results=message.upload_results,
    )
