"""Messages of older peers, each with its removal date, and their conversion to current ones."""

from typing import Any, Literal

from compute_horde.protocol.job import HordeFailed, JobFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.receipts import JobUuid
from compute_horde.vocabulary import FailureReason, HordeReason, Party, Stage

EXECUTOR_FAILED = "The executor failed"
NOT_STREAMING = "The streaming job did not become ready"


class ExecutorFailed(JobMessage):
    """Until 2027-06-30. executor -> miner -> validator: the executor could not do the job."""

    message_type: Literal["V0ExecutorFailedRequest"] = "V0ExecutorFailedRequest"
    job_uuid: JobUuid
    executor_token: str | None = None


class StreamingNotReady(JobMessage):
    """Until 2027-06-30. executor -> miner -> validator: the streaming service did not come up."""

    message_type: Literal["V0StreamingJobNotReadyRequest"] = "V0StreamingJobNotReadyRequest"
    job_uuid: JobUuid
    executor_token: str | None = None


def from_miner(message: Any) -> Any:
    """An older miner's message as a current one for the validator; both blame the miner."""
    match message:
        case ExecutorFailed():
            return _horde_failed(message, Party.MINER, HordeReason.GENERIC_ERROR, EXECUTOR_FAILED)
        case StreamingNotReady():
            return _horde_failed(message, Party.MINER, HordeReason.STREAMING_FAILED, NOT_STREAMING)
        case _:
            return message


def from_executor(message: Any) -> Any:
    """An older executor's message as a current one for the miner."""
    match message:
        case ExecutorFailed():
            return _horde_failed(
                message, Party.EXECUTOR, HordeReason.GENERIC_ERROR, EXECUTOR_FAILED
            )
        case StreamingNotReady():
            return JobFailed(
                job_uuid=message.job_uuid,
                message=NOT_STREAMING,
                reason=FailureReason.UNKNOWN,
                stage=Stage.STREAMING_STARTUP,
            )
        case _:
            return message


def _horde_failed(
    message: JobMessage, reported_by: Party, reason: HordeReason, text: str
) -> HordeFailed:
    return HordeFailed(
        job_uuid=message.job_uuid, reported_by=reported_by, reason=reason, message=text
    )
