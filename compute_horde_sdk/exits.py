"""What the exit code of the command says."""

from enum import IntEnum

from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.run import exit_code
from compute_horde_sdk.statuses import ComputeHordeJobFailure, ComputeHordeJobStatus


class Exit(IntEnum):
    """Exit codes that are not the job's own."""

    CANCELLED = 120
    OUTPUT_MISSING = 121
    JOB_FAILED = 122
    HORDE_FAILED = 123
    TIMED_OUT = 124
    NOT_RUN = 125
    INTERRUPTED = 130


EXIT_CODES = """
Exit code: that of the job's container. Otherwise 120: the job was cancelled; 121: an output did not
come back or could not be written; 122: the job failed before or after its container ran (download,
upload, no exit status); 123: rejected, or failed by the network: worth another try; 124: a time
limit, the job's or --timeout; 125: nothing was run: wrong settings, unreachable or refusing
facilitator; 2: wrong options; 130: Ctrl-C (the job goes on; on a terminal you are asked whether to
cancel it).
"""


def code(job: ComputeHordeJob) -> int:
    """Of a job that has ended."""
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
