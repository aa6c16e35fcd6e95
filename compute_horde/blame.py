"""From an exception to the message that names the guilty, and from that to the fault."""

from compute_horde import faults
from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.faults import Fault
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFailed
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
    """What to say of a job that `error` ended.

    A stage of the job that outlives its own limit is the job's fault; any other silence is the
    network's. Details of unforeseen exceptions stay in our log, since they may hold secrets.
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


def fault_of(message: Unsuccessful, said_by: Party) -> Fault:
    """Whose fault an ending is.

    `said_by` is from whom we have the message: what a miner says others reported counts as its own.
    """
    match message:
        case JobFailed():
            return faults.of_failure(message.reason, message.stage)
        case HordeFailed():
            trusted = said_by not in {Party.MINER, Party.EXECUTOR}
            reporter = message.reported_by if trusted else said_by
            return faults.of_horde(message.reason, reporter, message.context)
        case JobDeclined():
            return faults.of_rejection(message.reason, said_by)
        case JobCancelled():
            return faults.CANCELLED


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
