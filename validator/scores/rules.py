"""How the jobs of a cycle count when it is scored."""

from compute_horde.faults import Culprit
from validator.scoring.facts import JobOutcome
from validator.synthetic.outcomes import Outcome

# How the attempts of a batch count; those that are missing here are nobody's fault and do not.
OUTCOMES = {
    Outcome.CORRECT: JobOutcome.COMPLETED,
    Outcome.WRONG_ANSWER: JobOutcome.WRONG,
    Outcome.TOO_LATE: JobOutcome.LATE,
    Outcome.NOT_ACCEPTED: JobOutcome.FAILED,
    Outcome.NOT_READY: JobOutcome.FAILED,
    Outcome.DECLINED_BUSY: JobOutcome.REFUSED,
    Outcome.DECLINED: JobOutcome.REFUSED,
    Outcome.JOB_FAILED: JobOutcome.FAILED,
    Outcome.MINER_FAILED: JobOutcome.FAILED,
    Outcome.UNREACHABLE: JobOutcome.FAILED,
    Outcome.BROKE_PROTOCOL: JobOutcome.FAILED,
}


def counts_as(
    outcome: Outcome, blamed: Culprit, *, excused: bool, control_fault: str = ""
) -> JobOutcome | None:
    """How an attempt of a batch counts for its miner; None when it does not.

    What is not the miner's fault, such as a failure of the validator, does not count against it. An
    attempt that a control fault explains counts as a right answer does.
    """
    if control_fault:
        return JobOutcome.SPARED
    if excused:
        return JobOutcome.EXCUSED
    if outcome is not Outcome.CORRECT and blamed is not Culprit.MINER:
        return None
    return OUTCOMES.get(outcome)
