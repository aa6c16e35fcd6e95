"""What the SDK raises; every message names the cause and the next step."""

from typing import TYPE_CHECKING

from compute_horde.errors import ComputeHordeError

if TYPE_CHECKING:
    from compute_horde_sdk.jobs import ComputeHordeJob

__all__ = [
    "ComputeHordeError",
    "ComputeHordeJobTimeoutError",
    "ComputeHordeNotFoundError",
    "FacilitatorUnreachable",
    "JobUnsuccessful",
    "LogsUnavailable",
    "RequestRefused",
]


class ComputeHordeNotFoundError(ComputeHordeError):
    """The job or page does not exist, or belongs to another hotkey."""


class ComputeHordeJobTimeoutError(ComputeHordeError, TimeoutError):
    """The job did not get there in the time given; it may still go on."""


class RequestRefused(ComputeHordeError):
    """The facilitator answered, and the answer is no."""

    def __init__(self, message: str, *, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class FacilitatorUnreachable(ComputeHordeError):
    """No answer, or none that can be used, after several attempts."""


class LogsUnavailable(ComputeHordeError):
    """The facilitator is one that tells a job's output only with its result."""


class JobUnsuccessful(ComputeHordeError):
    """The job ended, but not well; `job` has its result and its error."""

    def __init__(self, job: "ComputeHordeJob") -> None:
        error = job.error
        cause = f"{error.reason}: {error.message}" if error else "no reason given"
        super().__init__(f"job {job.uuid} ended {job.status.value}: {cause}")
        self.job = job
