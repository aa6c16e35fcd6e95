"""What old peers still say, each with the day its shim goes, and how we hear it."""

from typing import Any, Literal

from compute_horde.protocol.job import HordeFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason, Party


class ExecutorFailed(JobMessage):
    """Until 2027-06-30. miner -> validator: the executor could not do the job."""

    message_type: Literal["V0ExecutorFailedRequest"] = "V0ExecutorFailedRequest"
    job_uuid: str
    executor_token: str | None = None


class StreamingNotReady(JobMessage):
    """Until 2027-06-30. miner -> validator: the streaming service did not come up."""

    message_type: Literal["V0StreamingJobNotReadyRequest"] = "V0StreamingJobNotReadyRequest"
    job_uuid: str
    executor_token: str | None = None


def modern(message: Any) -> Any:
    """The same fact in today's words."""
    match message:
        case ExecutorFailed():
            reason, text = HordeReason.GENERIC_ERROR, "The executor failed"
        case StreamingNotReady():
            reason, text = HordeReason.STREAMING_FAILED, "The streaming job did not become ready"
        case _:
            return message
    return HordeFailed(
        job_uuid=message.job_uuid, reported_by=Party.MINER, reason=reason, message=text
    )
