"""The page that says whose fault each ending is."""

from collections.abc import Iterator

from compute_horde import faults
from compute_horde.faults import Cause, Culprit, Fault
from compute_horde.vocabulary import JobState
from docs.tables import NOTE, table

HEAD = f"""{NOTE}
# Whose fault it is

Every way a job can end other than `completed`, by `compute_horde.faults`; the validator counts by
this table and the command line shows its last column. *May be claimed* marks what we know from the
miner alone: it may be a lie, so such an ending is never paid beyond the intervals of work already
finished. *Counts* is whether the miner's reliability suffers; an executor is part of its miner. A
reason that is not listed reads as `unknown`.
"""
PAID = {
    JobState.FAILED: "finished intervals",
    JobState.HORDE_FAILED: "finished intervals",
    JobState.REJECTED: "nothing",
    JobState.CANCELLED: "time used, at most the price",
}


def page() -> Iterator[str]:
    """Its lines."""
    yield HEAD
    yield "## The job failed (`failed`)\n"
    yield from _fault_table(
        JobState.FAILED,
        {
            f"`{reason}` during `{stage}`": fault
            for (reason, stage), fault in faults.FAILURES.items()
        }
        | {f"cause `{cause}` in the context": fault for cause, fault in faults.JOB_CAUSES.items()}
        | {f"`{reason}` at any other time": fault for reason, fault in faults.BY_REASON.items()},
    )
    yield "## The network failed the job (`horde_failed`)\n"
    declined = {Cause.SIGNER_NOT_ALLOWED, Cause.QUOTA}
    own = {
        f"`{word}` by the validator": faults.VALIDATORS for word in sorted(faults.VALIDATOR_REASONS)
    }
    yield from _fault_table(
        JobState.HORDE_FAILED,
        {
            f"cause `{cause}` in the context": fault
            for cause, fault in faults.CAUSES.items()
            if cause not in declined
        }
        | {f"`{reason}`": fault for reason, fault in faults.HORDE.items()}
        | own
        | {
            "`unhandled_exception` by the facilitator": faults.FACILITATORS,
            "any other reason by the facilitator": faults.GIVEN_UP,
        },
    )
    yield "## The job was declined (`rejected`)\n"
    yield from _fault_table(
        JobState.REJECTED,
        {f"`{reason}`": fault for reason, fault in faults.REJECTED_BY_MINER.items()}
        | {
            f"`{reason}` by the validator": fault
            for reason, fault in faults.REJECTED_BY_VALIDATOR.items()
        }
        | {f"cause `{cause}` in the context": faults.CAUSES[cause] for cause in sorted(declined)},
    )
    yield "## The job was cancelled (`cancelled`)\n"
    yield from _fault_table(JobState.CANCELLED, {"when its owner asked for it": faults.CANCELLED})


def _fault_table(state: JobState, told: dict[str, Fault]) -> Iterator[str]:
    rows = (
        (
            kind,
            f"{fault.blamed}{', may be claimed' if fault.claimable else ''}",
            _effect(fault),
            PAID[state],
            fault.example,
            "yes" if fault.worth_another_try else "no",
            fault.advice,
        )
        for kind, fault in told.items()
    )
    head = ("what", "blamed", "counts", "paid", "such as", "try again", "next step")
    yield from table(*head, rows=rows)


def _effect(fault: Fault) -> str:
    if fault.excusable:
        return "against the miner, unless receipts excuse it"
    if fault.counts_against_miner:
        return "against the miner"
    return "against nobody" if fault.blamed is Culprit.NOBODY else "not against the miner"
