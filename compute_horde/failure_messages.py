"""Maps an exception to the failure message of a job, and that message to the party at fault."""

from compute_horde import faults
from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.faults import Fault
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFailed
from compute_horde.protocol.status import StatusMetadata
from compute_horde.vocabulary import FailureReason, HordeReason, Party, Stage

TIMEOUT_TEXT = {
    Stage.VOLUME_DOWNLOAD: "Download time exceeded",
    Stage.STREAMING_STARTUP: "Streaming start time exceeded",
    Stage.EXECUTION: "Job container timed out during execution",
    Stage.RESULT_UPLOAD: "Upload time exceeded",
}

Ending = JobFailed | HordeFailed | JobCancelled
Unsuccessful = Ending | JobDeclined


def failure(error: BaseException, *, job_uuid: str, seen_by: Party, during: Stage) -> Ending:
    """The final message of a job that `error` ended.

    A stage that exceeds its own time limit is the job's fault (`JobFailed`); any other timeout is
    reported as `HordeFailed`. Details of unexpected exceptions are left out, since they may contain
    secrets.
    """
    match error:
        case Cancelled():
            return JobCancelled(
                job_uuid=job_uuid,
                reported_by=seen_by,
                message=str(error),
                stage=during,
                docker_process_stdout=error.stdout,
                docker_process_stderr=error.stderr,
            )
        case JobError():
            return _job_failed(error, job_uuid=job_uuid, during=during)
        case TimeoutError() if during in TIMEOUT_TEXT:
            late = JobError(FailureReason.TIMEOUT, TIMEOUT_TEXT[during])
            return _job_failed(late, job_uuid=job_uuid, during=during)
        case HordeError():
            reason, detail, context = error.reason, str(error), error.context or {}
        case TimeoutError():
            reason, detail, context = HordeReason.UNHANDLED_TIMEOUT, f"{during} took too long", {}
        case _:
            reason, detail = HordeReason.UNHANDLED_EXCEPTION, "Unhandled exception"
            context = {"exception_type": type(error).__name__}
    return HordeFailed(
        job_uuid=job_uuid,
        reported_by=seen_by,
        reason=reason,
        message=detail,
        context=context | {"stage": str(during)},
    )


def fault_of_message(message: Unsuccessful, sent_by: Party) -> Fault:
    """The fault that an unsuccessful final message stands for.

    `sent_by` is the sender of the message; a miner's message that names another reporter counts as
    the miner's own.
    """
    match message:
        case JobFailed():
            return faults.of_failure(message.reason, message.stage, message.context)
        case HordeFailed():
            trusted = sent_by not in {Party.MINER, Party.EXECUTOR}
            reporter = message.reported_by if trusted else sent_by
            return faults.of_horde(message.reason, reporter, message.context)
        case JobDeclined():
            return faults.of_rejection(message.reason, sent_by, message.context)
        case JobCancelled():
            return faults.CANCELLED


def fault_of_status(metadata: StatusMetadata | None) -> Fault | None:
    """The fault behind a final status reported by a validator; None if it is no failure."""
    if metadata is None:
        return None
    if declined := metadata.job_rejection_details:
        return faults.of_rejection(declined.reason, declined.rejected_by, declined.context)
    if failed := metadata.job_failure_details:
        return faults.of_failure(failed.reason, failed.stage, failed.context)
    if lost := metadata.horde_failure_details:
        return faults.of_horde(lost.reason, lost.reported_by, lost.context)
    return None


def _job_failed(error: JobError, *, job_uuid: str, during: Stage) -> JobFailed:
    return JobFailed(
        job_uuid=job_uuid,
        message=str(error),
        reason=error.reason,
        stage=during,
        docker_process_exit_status=error.exit_status,
        docker_process_stdout=error.stdout,
        docker_process_stderr=error.stderr,
        context=error.context,
    )
