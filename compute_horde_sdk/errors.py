"""The SDK's exceptions; every message names the cause and the next step."""

from collections.abc import Iterator
from contextlib import contextmanager

from compute_horde.errors import ComputeHordeError

__all__ = [
    "ComputeHordeError",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
    "FacilitatorUnreachable",
    "InvalidRequestError",
    "LogsUnavailable",
    "RequestRefused",
]


class ComputeHordeNotFoundError(ComputeHordeError):
    """The job or page does not exist, or belongs to another hotkey."""


class ComputeHordeJobTimeoutError(ComputeHordeError, TimeoutError):
    """The job did not reach the awaited state within the timeout; it may still be running."""


class InvalidRequestError(ComputeHordeError, ValueError):
    """The request is invalid; nothing was sent."""


class RequestRefused(ComputeHordeError):
    """The facilitator answered with an HTTP error status; `details` is the reason that it gave.

    `retry_after_seconds` is how long it asks to wait before the next attempt; None if it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        details: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.details = details
        self.retry_after_seconds = retry_after_seconds


class FacilitatorUnreachable(ComputeHordeError):
    """No usable answer from the facilitator after several attempts."""


class LogsUnavailable(ComputeHordeError):
    """The facilitator has no logs of running jobs; output comes with the result only."""


def attach(error: ComputeHordeError, job_uuid: str, job: object = None) -> None:
    """Set the job that `error` is about, unless it is set already."""
    error.job_uuid = error.job_uuid or job_uuid
    error.job = error.job or job


@contextmanager
def attach_job_to_errors(job_uuid: str, job: object = None) -> Iterator[None]:
    """Context manager that sets the job on every SDK error raised inside."""
    try:
        yield
    except ComputeHordeError as exc:
        attach(exc, job_uuid, job)
        raise
