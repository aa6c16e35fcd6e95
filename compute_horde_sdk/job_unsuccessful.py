"""The exception for a job that ended without success."""

from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.jobs import ComputeHordeJob


class JobUnsuccessful(ComputeHordeError):
    """The job ended without success; `job` has its result and its error.

    `fault` names the party at fault and `next_step` what to do now, or None where unknown.
    """

    def __init__(self, job: ComputeHordeJob) -> None:
        error, fault = job.error, job.fault
        cause = f"{error.reason}: {error.message}" if error else "no reason given"
        attribution = f" [fault: {fault.blamed}; next step: {fault.advice}]" if fault else ""
        super().__init__(f"job {job.uuid} ended {job.status.value}: {cause}{attribution}")
        self.job = job
        self.job_uuid = job.uuid
        self.fault = str(fault.blamed) if fault else None
        self.next_step = fault.advice if fault else None
