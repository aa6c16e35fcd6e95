"""Every way in which an attempt ends has one outcome and one party at fault."""

import pytest

from compute_horde.faults import Cause, Culprit
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobAccepted, JobDeclined, JobFailed
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason, Stage
from validator.synthetic import outcomes
from validator.synthetic.outcomes import Outcome

UUID = "00000000-0000-0000-0000-000000000001"


def declined(reason: RejectionReason) -> JobDeclined:
    return JobDeclined(job_uuid=UUID, reason=reason, message="no")


def failed(reason: FailureReason, **fields: object) -> JobFailed:
    return JobFailed(job_uuid=UUID, reason=reason, **fields)


def horde(reason: HordeReason, **fields: object) -> HordeFailed:
    given = {"reported_by": Party.VALIDATOR, "message": "lost"}
    return HordeFailed(job_uuid=UUID, reason=reason, **(given | fields))


VALIDATOR, MINER = Party.VALIDATOR, Party.MINER


@pytest.mark.parametrize(
    ("message", "sent_by", "outcome", "blamed"),
    [
        (declined(RejectionReason.BUSY), MINER, Outcome.DECLINED_BUSY, Culprit.MINER),
        (declined(RejectionReason.UNKNOWN), MINER, Outcome.DECLINED, Culprit.MINER),
        (
            declined(RejectionReason.VALIDATOR_BLACKLISTED),
            MINER,
            Outcome.DECLINED,
            Culprit.NOBODY,
        ),
        (
            declined(RejectionReason.INVALID_SIGNATURE),
            MINER,
            Outcome.DECLINED,
            Culprit.VALIDATOR,
        ),
        (failed(FailureReason.TIMEOUT), MINER, Outcome.TOO_LATE, Culprit.MINER),
        (failed(FailureReason.NONZERO_RETURN_CODE), MINER, Outcome.JOB_FAILED, Culprit.MINER),
        (
            failed(FailureReason.DOWNLOAD_FAILED, stage=Stage.VOLUME_DOWNLOAD),
            MINER,
            Outcome.JOB_FAILED,
            Culprit.VALIDATOR,
        ),
        (horde(HordeReason.EXECUTOR_SPINUP_FAILED), MINER, Outcome.MINER_FAILED, Culprit.MINER),
        (
            horde(HordeReason.GENERIC_ERROR, context=Cause.REGISTRY.context),
            MINER,
            Outcome.MINER_FAILED,
            Culprit.NOBODY,
        ),
        (horde(HordeReason.MINER_CONNECTION_FAILED), VALIDATOR, Outcome.UNREACHABLE, Culprit.MINER),
        (
            horde(HordeReason.INITIAL_RESPONSE_TIMED_OUT),
            VALIDATOR,
            Outcome.NOT_ACCEPTED,
            Culprit.MINER,
        ),
        (
            horde(HordeReason.EXECUTOR_READINESS_RESPONSE_TIMED_OUT),
            VALIDATOR,
            Outcome.NOT_READY,
            Culprit.MINER,
        ),
        (horde(HordeReason.EXECUTION_TIMED_OUT), VALIDATOR, Outcome.TOO_LATE, Culprit.MINER),
        (
            horde(HordeReason.GENERIC_ERROR, context=Cause.BROKEN_ORDER.context),
            VALIDATOR,
            Outcome.BROKE_PROTOCOL,
            Culprit.MINER,
        ),
        (
            horde(HordeReason.UNHANDLED_EXCEPTION),
            VALIDATOR,
            Outcome.VALIDATOR_FAILED,
            Culprit.VALIDATOR,
        ),
        (
            JobCancelled(job_uuid=UUID, reported_by=VALIDATOR, message="", stage=Stage.EXECUTION),
            VALIDATOR,
            Outcome.INTERRUPTED,
            Culprit.NOBODY,
        ),
        (JobAccepted(job_uuid=UUID), MINER, Outcome.BROKE_PROTOCOL, Culprit.MINER),
    ],
)
def test_an_ending_has_one_outcome(
    message: JobMessage, sent_by: Party, outcome: Outcome, blamed: Culprit
) -> None:
    ended = outcomes.of_failure(message, sent_by)
    assert (ended.outcome, ended.blamed) == (outcome, blamed)


def test_a_miner_cannot_blame_the_validator_for_its_silence() -> None:
    lie = horde(HordeReason.UNHANDLED_EXCEPTION, reported_by=Party.VALIDATOR)
    ended = outcomes.of_failure(lie, Party.MINER)
    assert (ended.outcome, ended.blamed) == (Outcome.MINER_FAILED, Culprit.MINER)


def test_the_reason_can_be_stored() -> None:
    text = outcomes.reason_text(JobDeclined(job_uuid=UUID, message="\0" + "x" * 1000))
    assert len(text) == outcomes.REASON_CHARACTERS
    assert "\0" not in text
    assert text.startswith("unknown: ")


def test_only_a_wrong_answer_is_a_fault() -> None:
    assert outcomes.blamed_for_answer(Outcome.CORRECT) is Culprit.NOBODY
    assert outcomes.blamed_for_answer(Outcome.WRONG_ANSWER) is Culprit.MINER
