"""How an attempt at a synthetic job can end, and who is at fault when it earns nothing; pure."""

from dataclasses import dataclass
from enum import StrEnum

from compute_horde.failure_messages import fault_of_message
from compute_horde.faults import CAUSE, Cause, Culprit
from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason

REASON_CHARACTERS = 200


class Outcome(StrEnum):
    """Every way in which an attempt ends; `OPEN` while it has not."""

    OPEN = "open"
    CORRECT = "correct"
    WRONG_ANSWER = "wrong_answer"
    TOO_LATE = "too_late"
    NOT_ACCEPTED = "not_accepted"
    NOT_READY = "not_ready"
    DECLINED_BUSY = "declined_busy"
    DECLINED = "declined"
    JOB_FAILED = "job_failed"
    MINER_FAILED = "miner_failed"
    UNREACHABLE = "unreachable"
    BROKE_PROTOCOL = "broke_protocol"
    VALIDATOR_FAILED = "validator_failed"
    INTERRUPTED = "interrupted"


# Attempts that got as far as an answer, so that the miner counts as measured.
ANSWERED = frozenset({Outcome.CORRECT, Outcome.WRONG_ANSWER})


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt without an answer ended."""

    outcome: Outcome
    reason: str
    blamed: Culprit


# What the validator itself reports when a miner stays silent, by the state it was silent in.
SILENCES = {
    HordeReason.MINER_CONNECTION_FAILED: Outcome.UNREACHABLE,
    HordeReason.INITIAL_RESPONSE_TIMED_OUT: Outcome.NOT_ACCEPTED,
    HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT: Outcome.NOT_READY,
    HordeReason.VOLUMES_TIMED_OUT: Outcome.TOO_LATE,
    HordeReason.STREAMING_JOB_READY_TIMED_OUT: Outcome.TOO_LATE,
    HordeReason.EXECUTION_TIMED_OUT: Outcome.TOO_LATE,
    HordeReason.FINAL_RESPONSE_TIMED_OUT: Outcome.TOO_LATE,
}
# Named by the job, which is the validator's: it may have named something that is not there.
VALIDATORS_PART = frozenset({FailureReason.DOWNLOAD_FAILED, FailureReason.UPLOAD_FAILED})


def of_failure(message: JobMessage, sent_by: Party) -> Ended:
    """How an attempt ended whose final message is not a result."""
    match message:
        case JobDeclined(reason=RejectionReason.BUSY):
            outcome = Outcome.DECLINED_BUSY
        case JobDeclined():
            outcome = Outcome.DECLINED
        case JobFailed(reason=FailureReason.TIMEOUT):
            outcome = Outcome.TOO_LATE
        case JobFailed():
            outcome = Outcome.JOB_FAILED
        case HordeFailed():
            outcome = _of_horde_failure(message, sent_by)
        case JobCancelled():
            outcome = Outcome.INTERRUPTED
        case _:
            outcome = Outcome.BROKE_PROTOCOL
    return Ended(outcome, reason_text(message), _blamed(message, sent_by))


def blamed_for_answer(outcome: Outcome) -> Culprit:
    """Who is at fault for an answer: nobody for a right one."""
    return Culprit.NOBODY if outcome is Outcome.CORRECT else Culprit.MINER


def reason_text(message: JobMessage) -> str:
    """The reason and the text of a final message, cut to what is stored."""
    reason, text = getattr(message, "reason", ""), getattr(message, "message", "")
    # PostgreSQL stores no NUL, and one such text would lose the results of the whole batch.
    return replace_nul(f"{reason}: {text}"[:REASON_CHARACTERS])


def _of_horde_failure(message: HordeFailed, sent_by: Party) -> Outcome:
    if sent_by is not Party.VALIDATOR:
        return Outcome.MINER_FAILED
    if (message.context or {}).get(CAUSE) == Cause.BROKEN_ORDER:
        return Outcome.BROKE_PROTOCOL
    return SILENCES.get(message.reason, Outcome.VALIDATOR_FAILED)


def _blamed(message: JobMessage, sent_by: Party) -> Culprit:
    """The party at fault; the user of a synthetic job is the validator, whose jobs work."""
    match message:
        case JobFailed():
            is_validators = message.reason in VALIDATORS_PART
            blamed = Culprit.VALIDATOR if is_validators else Culprit.MINER
            fault = fault_of_message(message, sent_by)
            return Culprit.NOBODY if fault.blamed is Culprit.NOBODY else blamed
        case JobDeclined() | HordeFailed():
            return fault_of_message(message, sent_by).blamed
        case JobCancelled():
            return Culprit.NOBODY
        case _:
            return Culprit.MINER
