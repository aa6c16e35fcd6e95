"""Attributes a job's error to the party at fault, by the validators' rules, and gives advice."""

from dataclasses import replace

from compute_horde.faults import Fault, of_failure, of_horde, of_rejection
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason, Stage
from compute_horde_sdk.job_status import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    JobError,
)

# Advice where the validator's only reason is that it has no miner for the job.
NO_TRUSTED_MINER = (
    "run the job without --trusted (on_trusted_miner), or choose a validator that has a trusted "
    "miner of this class"
)


def fault_of_error(error: JobError, *, on_trusted_miner: bool = False) -> Fault:
    """The fault of an error, from the table in `compute_horde.faults`."""
    match error:
        case ComputeHordeJobFailure():
            reason, stage = FailureReason(error.reason), Stage(error.stage or "")
            return of_failure(reason, stage, error.context)
        case ComputeHordeHordeFailure():
            reporter = Party(error.reported_by)
            return of_horde(HordeReason(error.reason), reporter, error.context)
        case _:
            rejected_by = Party(error.rejected_by or "")
            fault = of_rejection(RejectionReason(error.reason), rejected_by, error.context)
            unspecific = fault == of_rejection(RejectionReason.NO_MINER_FOR_JOB, rejected_by)
            if on_trusted_miner and unspecific:
                return replace(fault, advice=NO_TRUSTED_MINER)
            return fault
