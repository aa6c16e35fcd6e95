"""Every way in which a job can fail has the right party at fault."""

import subprocess
import sys
from itertools import product

import pytest

from compute_horde import faults
from compute_horde.errors import HordeError, JobError
from compute_horde.failure_messages import failure, fault_of_message
from compute_horde.faults import Cause, Culprit, JobCause
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFailed
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason, Stage
from tests.compute_horde.vectors import JOB

SPEAKERS = [Party.VALIDATOR, Party.FACILITATOR, Party.MINER, Party.EXECUTOR, Party.UNKNOWN]


def lost(reason, reported_by=Party.MINER, context=None) -> HordeFailed:
    return HordeFailed(
        job_uuid=JOB, reported_by=reported_by, message="m", reason=reason, context=context
    )


def test_every_reason_in_the_vocabulary_has_a_row():
    assert set(faults.BY_REASON) == set(FailureReason)
    assert set(faults.HORDE) == set(HordeReason)
    assert set(faults.REJECTED_BY_MINER) == set(RejectionReason)
    assert set(faults.CAUSES) == set(Cause)
    assert set(faults.JOB_CAUSES) == set(JobCause)


@pytest.mark.parametrize(("reason", "stage"), [*product(FailureReason, Stage)])
def test_the_job_s_own_failure_is_its_user_s_and_never_the_miner_s(reason, stage):
    fault = fault_of_message(JobFailed(job_uuid=JOB, reason=reason, stage=stage), Party.MINER)
    assert (fault.blamed, fault.counts_against_miner) == (Culprit.USER, False)
    assert fault.claimable
    assert fault.advice


@pytest.mark.parametrize(("reason", "reporter"), [*product(HordeReason, SPEAKERS)])
def test_what_the_network_did_is_never_the_user_s(reason, reporter):
    fault = fault_of_message(lost(reason, reporter), Party.VALIDATOR)
    assert fault.blamed is not Culprit.USER
    assert fault.worth_another_try


@pytest.mark.parametrize("reason", HordeReason)
def test_a_miner_cannot_say_that_others_reported_its_fault(reason):
    for claimed in SPEAKERS:
        fault = fault_of_message(lost(reason, claimed), Party.MINER)
        assert fault.blamed is Culprit.MINER


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_is_believed_of_whoever_can_know_it(cause):
    sent = lost(HordeReason.GENERIC_ERROR, Party.VALIDATOR, cause.context)
    assert fault_of_message(sent, Party.VALIDATOR) is faults.CAUSES[cause]
    claimed = fault_of_message(sent, Party.MINER)
    assert claimed.blamed is Culprit.MINER or claimed.claimable


@pytest.mark.parametrize("cause", JobCause)
@pytest.mark.parametrize(("reason", "stage"), [*product(FailureReason, Stage)])
def test_a_job_s_own_failure_has_the_advice_of_its_cause(cause, reason, stage):
    sent = JobFailed(job_uuid=JOB, reason=reason, stage=stage, context=cause.context)
    fault = fault_of_message(sent, Party.MINER)
    assert fault is faults.JOB_CAUSES[cause]
    assert (fault.blamed, fault.claimable) == (Culprit.USER, True)


@pytest.mark.parametrize("cause", JobCause)
def test_a_job_s_own_cause_excuses_no_miner(cause):
    sent = lost(HordeReason.GENERIC_ERROR, Party.EXECUTOR, cause.context)
    assert fault_of_message(sent, Party.MINER) is faults.HORDE[HordeReason.GENERIC_ERROR]


@pytest.mark.parametrize("context", [{"cause": "newer"}, {"cause": ["not_started"]}, {}, None])
def test_a_job_s_cause_that_we_do_not_know_changes_nothing(context):
    sent = JobFailed(
        job_uuid=JOB, reason=FailureReason.UNKNOWN, stage=Stage.EXECUTION, context=context
    )
    expected = faults.FAILURES[FailureReason.UNKNOWN, Stage.EXECUTION]
    assert fault_of_message(sent, Party.MINER) is expected


@pytest.mark.parametrize("context", [{"cause": "newer"}, {"cause": ["registry"]}, {}, None])
def test_a_cause_that_we_do_not_know_changes_nothing(context):
    sent = lost(HordeReason.GENERIC_ERROR, Party.EXECUTOR, context)
    assert fault_of_message(sent, Party.MINER) is faults.HORDE[HordeReason.GENERIC_ERROR]


@pytest.mark.parametrize(
    ("reason", "reporter", "blamed"),
    [
        (HordeReason.EXECUTION_TIMED_OUT, Party.VALIDATOR, Culprit.MINER),
        (HordeReason.MINER_CONNECTION_FAILED, Party.VALIDATOR, Culprit.MINER),
        (HordeReason.EXECUTOR_DISCONNECTED, Party.MINER, Culprit.MINER),
        (HordeReason.UNHANDLED_EXCEPTION, Party.VALIDATOR, Culprit.VALIDATOR),
        (HordeReason.UNHANDLED_EXCEPTION, Party.EXECUTOR, Culprit.MINER),
        (HordeReason.EXECUTION_TIMED_OUT, Party.FACILITATOR, Culprit.VALIDATOR),
        (HordeReason.UNHANDLED_EXCEPTION, Party.FACILITATOR, Culprit.FACILITATOR),
    ],
)
def test_who_breaks_down_is_blamed_and_who_waits_in_vain_is_not(reason, reporter, blamed):
    assert fault_of_message(lost(reason, reporter), reporter).blamed is blamed


@pytest.mark.parametrize(
    ("reason", "by", "blamed"),
    [
        (RejectionReason.BUSY, Party.MINER, Culprit.MINER),
        (RejectionReason.UNKNOWN, Party.MINER, Culprit.MINER),
        (RejectionReason.INVALID_RECEIPT, Party.MINER, Culprit.VALIDATOR),
        (RejectionReason.NO_MINER_FOR_JOB, Party.VALIDATOR, Culprit.NOBODY),
        (RejectionReason.INVALID_SIGNATURE, Party.VALIDATOR, Culprit.USER),
        (RejectionReason.UNKNOWN, Party.VALIDATOR, Culprit.USER),
    ],
)
def test_a_refusal_is_the_fault_of_whoever_made_it_necessary(reason, by, blamed):
    fault = fault_of_message(JobDeclined(job_uuid=JOB, reason=reason), by)
    assert fault.blamed is blamed
    assert fault.excusable == (reason is RejectionReason.BUSY)


def test_a_cancelled_job_harms_nobody():
    cancelled = JobCancelled(job_uuid=JOB, reported_by=Party.EXECUTOR)
    fault = fault_of_message(cancelled, Party.MINER)
    assert (fault.blamed, fault.counts_against_miner) == (Culprit.USER, False)


def test_a_registry_in_trouble_stays_nobody_s_fault_on_its_way():
    error = HordeError(HordeReason.GENERIC_ERROR, "429", context=Cause.REGISTRY.context)
    sent = failure(error, job_uuid=JOB, seen_by=Party.EXECUTOR, during=Stage.EXECUTOR_STARTUP)
    received = HordeFailed.model_validate_json(sent.encode())
    assert fault_of_message(received, Party.MINER).blamed is Culprit.NOBODY


def test_an_image_that_is_nowhere_is_the_user_s():
    error = JobError(FailureReason.DOWNLOAD_FAILED, "no image")
    sent = failure(error, job_uuid=JOB, seen_by=Party.EXECUTOR, during=Stage.EXECUTOR_STARTUP)
    fault = fault_of_message(sent, Party.MINER)
    assert fault.blamed is Culprit.USER
    assert "image" in fault.advice


def test_reading_the_table_takes_no_library():
    code = "import sys, compute_horde.faults; print('pydantic' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"
