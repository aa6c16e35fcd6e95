"""Builds the statuses that the facilitator gets from the messages of jobs (protocol §4.5)."""

from typing import Any

from pydantic_core import to_json

from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import (
    HordeFailed,
    JobDeclined,
    JobFailed,
    JobFinished,
    StreamingReady,
)
from compute_horde.protocol.left_out import MAX_NAME_CHARACTERS, LeftOut, listed
from compute_horde.protocol.left_out_notes import ARTIFACTS_LEFT_OUT, OUTPUT_TRUNCATED
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
from compute_horde.vocabulary import Extension, FailureReason, JobState, Party, Stream

# Each text is cut to this length when a status is too large.
KEPT_CHARACTERS = 2**20
# Reserved for the list of artifacts that were left out.
LEFT_OUT_BYTES = 2**20
TOO_LARGE = "with it the result is larger than the facilitator takes; use an output upload instead"
PRINTED = {Stream.STDOUT: "docker_process_stdout", Stream.STDERR: "docker_process_stderr"}


def status(
    job_uuid: str, state: JobState, message: Message | None, sent_by: Party
) -> StatusReported:
    """The status for the state that `message` led to, cut to fit into one frame.

    Artifacts that do not fit are left out first; then every text is cut.
    """
    report = _status(job_uuid, state, message, sent_by)
    if message is None or _fits(report):
        return report
    if isinstance(message, JobFinished) and message.artifacts:
        bare = _status(job_uuid, state, message.model_copy(update={"artifacts": {}}), sent_by)
        room = REPORT_FRAME_BYTES - _size(bare) - LEFT_OUT_BYTES
        message = _with_artifacts_in(message, room)
        report = _status(job_uuid, state, message, sent_by)
    return report if _fits(report) else _status(job_uuid, state, _shortened(message), sent_by)


def _with_artifacts_in(message: JobFinished, room: int) -> JobFinished:
    """The result with as many artifacts, in order, as fit into `room` bytes; lists the others."""
    kept: dict[str, str] = {}
    lost: list[LeftOut] = []
    every = message.artifacts or {}
    for name, data in every.items():
        size = len(to_json(name)) + len(to_json(data)) + len(":,")
        if size <= room:
            room -= size
            kept[name] = data
        else:
            lost.append(_left_out(name, data))
    return message.model_copy(
        update={
            "artifacts": kept or None,
            "left_out": listed((*message.left_out, *lost)),
            "docker_process_stderr": message.docker_process_stderr
            + ARTIFACTS_LEFT_OUT.format(len(lost), len(every)),
        }
    )


def _left_out(name: str, data: str) -> LeftOut:
    return LeftOut(name=name[:MAX_NAME_CHARACTERS], size=_size_of(data), why=TOO_LARGE)


def _size_of(data: str) -> int:
    """The number of bytes encoded in the base64 text `data`."""
    return max(len(data) * 3 // 4 - data[-2:].count("="), 0)


def compatible(report: StatusReported, facilitator: frozenset[Extension]) -> StatusReported:
    """The same status as a facilitator with only these extensions understands it."""
    if report.status is not JobState.CANCELLED or Extension.CANCEL in facilitator:
        return report
    metadata = report.metadata
    if metadata and metadata.job_failure_details:
        unknown = {"reason": FailureReason.UNKNOWN}
        details = metadata.job_failure_details.model_copy(update=unknown)
        metadata = metadata.model_copy(update={"job_failure_details": details})
    return report.model_copy(update={"status": JobState.FAILED, "metadata": metadata})


def _fits(report: StatusReported) -> bool:
    return _size(report) <= REPORT_FRAME_BYTES


def _size(report: StatusReported) -> int:
    return len(report.encode().encode("utf-8", "surrogatepass"))


def _shortened(message: Message) -> Message:
    """The message with each text cut, and without the fields that have no bound."""
    fields = {name: getattr(message, name) for name in type(message).model_fields}
    texts = {
        name: text[:KEPT_CHARACTERS] + OUTPUT_TRUNCATED
        for name, text in fields.items()
        if isinstance(text, str) and len(text) > KEPT_CHARACTERS
    }
    unbounded: dict[str, Any] = dict.fromkeys(("artifacts", "upload_results", "context"))
    unbounded["left_out"] = listed(
        (
            *fields.get("left_out", ()),
            *(_left_out(*one) for one in (fields.get("artifacts") or {}).items()),
        )
    )
    # The executor reports how much was printed; else the length of what arrived counts.
    printed = {stream: len(fields.get(PRINTED[stream]) or "") for stream in PRINTED}
    cut = {stream: printed[stream] for stream in PRINTED if PRINTED[stream] in texts}
    bytes_left_out = {
        stream: _size_of(data) for stream, data in fields.get("raw_output", {}).items()
    }
    unbounded["raw_output"] = {}
    unbounded["truncated"] = cut | bytes_left_out | (fields.get("truncated") or {})
    return message.model_copy(update=texts | {k: v for k, v in unbounded.items() if k in fields})


def _status(
    job_uuid: str, state: JobState, message: Message | None, sent_by: Party
) -> StatusReported:
    metadata = _metadata(message, sent_by)
    return StatusReported(uuid=job_uuid, status=state, metadata=metadata)


def _metadata(message: Message | None, sent_by: Party) -> StatusMetadata | None:
    match message:
        case JobFinished():
            return StatusMetadata(miner_response=_result(message))
        case JobDeclined():
            details = RejectionDetails(
                rejected_by=sent_by,
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
        left_out=message.left_out,
        truncated=message.truncated,
        raw_output=message.raw_output,
    )
