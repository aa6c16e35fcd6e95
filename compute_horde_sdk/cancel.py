"""Having a job ended from the command line, and Ctrl-C while it is waited for."""

import sys
from contextlib import suppress

from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.console import error_line
from compute_horde_sdk.errors import ComputeHordeJobTimeoutError
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.statuses import ComputeHordeJobStatus

# A miner that does not obey is given up sooner than this.
WAIT_SECONDS = 15.0


async def cancelled(client: ComputeHordeClient, uuid: str) -> ComputeHordeJob:
    """The job, which has ended, unless that takes unusually long."""
    job = await client.cancel_job(uuid)
    with suppress(ComputeHordeJobTimeoutError):
        await job.wait(WAIT_SECONDS)
    return job


def is_wanted(uuid: str) -> bool:
    """After a first Ctrl-C: whether to cancel the job, too. A second one says yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = "Cancel the job? [y/N] (Ctrl-C again: yes) "
    try:
        print(f"\ninterrupted; job {uuid} goes on.", file=sys.stderr)
        # Whoever sees the question may answer before `print` is done.
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        return True


def left(uuid: str) -> str:
    """What is said to who does not wait for the end."""
    return f"interrupted; job {uuid} may end yet: see it with: compute-horde job {uuid}"


def told(job: ComputeHordeJob) -> str:
    """What became of a job that was to be cancelled."""
    if job.status.is_in_progress():
        return f"job {job.uuid} is being cancelled; see it with: compute-horde job {job.uuid}"
    if job.status is ComputeHordeJobStatus.CANCELLED:
        return error_line(job)
    return f"job {job.uuid} ended {job.status.value} before it could be cancelled"
