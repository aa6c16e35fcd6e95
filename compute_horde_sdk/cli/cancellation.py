"""Cancelling a job from the command line, also after Ctrl-C while waiting for it."""

import sys
from contextlib import suppress

from compute_horde_sdk.cli.rendering import error_line
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.errors import ComputeHordeJobTimeoutError
from compute_horde_sdk.job_status import ComputeHordeJobStatus
from compute_horde_sdk.jobs import ComputeHordeJob

# Longer than a validator waits for a miner that does not cancel.
WAIT_SECONDS = 15.0


async def cancel_and_wait(client: ComputeHordeClient, uuid: str) -> ComputeHordeJob:
    """Cancel a job and wait up to `WAIT_SECONDS` for its end; returns the job."""
    job = await client.cancel_job(uuid)
    with suppress(ComputeHordeJobTimeoutError):
        await job.wait(WAIT_SECONDS)
    return job


def confirm_cancel(uuid: str) -> bool:
    """Ask after Ctrl-C whether to cancel the job; a second Ctrl-C means yes.

    False without a question when stdin or stderr is not a terminal.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = "Cancel the job? [y/N] (Ctrl-C again: yes) "
    try:
        print(f"\ninterrupted; job {uuid} goes on.", file=sys.stderr)
        # Inside `try`: Ctrl-C may come before `print` returns.
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        return True


def interrupted_text(uuid: str) -> str:
    """Message after Ctrl-C while waiting for the cancellation."""
    return f"interrupted; job {uuid} may end yet: see it with: compute-horde job {uuid}"


def outcome_text(job: ComputeHordeJob) -> str:
    """Message about the outcome of a cancellation."""
    if job.status.is_in_progress():
        return f"job {job.uuid} is being cancelled; see it with: compute-horde job {job.uuid}"
    if job.status is ComputeHordeJobStatus.CANCELLED:
        return error_line(job)
    return f"job {job.uuid} ended {job.status.value} before it could be cancelled"
