"""The exit codes of the command."""

from enum import IntEnum

from compute_horde_sdk.job_status import ComputeHordeJobFailure, ComputeHordeJobStatus
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.run import exit_code


class Exit(IntEnum):
    """Exit codes other than that of the job's container."""

    OUTPUT_MISSING = 3
    CANCELLED = 120
    OUTPUT_UNWRITTEN = 121
    JOB_FAILED = 122
    HORDE_FAILED = 123
    TIMED_OUT = 124
    NOT_RUN = 125
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = """
Exit code: that of the job's container. Otherwise 3: the job completed, but a file requested with
-o, or stdout that is not UTF-8 and does not go to a terminal, did not come back; 120: the job was
cancelled; 121: an output could not be written; 122: the job failed before or after its container
ran (download, upload, no exit status); 123: rejected, or failed by the network: worth another try;
124: a time limit, the job's or --timeout; 125: nothing was run: wrong options or settings,
unreachable or refusing facilitator; 130: Ctrl-C (the job goes on; on a terminal you are asked
whether to cancel it); 143: SIGTERM or SIGHUP (it goes on).
"""


def code(job: ComputeHordeJob) -> int:
    """The exit code for a job that has ended."""
    error = job.error
    if job.status is ComputeHordeJobStatus.CANCELLED:
        return Exit.CANCELLED
    if error is not None and error.reason == "timeout":
        return Exit.TIMED_OUT
    status = exit_code(job)
    if status is not None and (status != 0 or job.status.is_successful()):
        return status
    if isinstance(error, ComputeHordeJobFailure):
        return Exit.JOB_FAILED
    return Exit.HORDE_FAILED
