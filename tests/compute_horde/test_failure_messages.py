"""The party at fault is named, and no secret is revealed."""

import pytest

from compute_horde import errors
from compute_horde.errors import Cancelled, HordeError, JobError, RejectionError
from compute_horde.failure_messages import TIMEOUT_TEXT, Ending, failure
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import HordeFailed, JobFailed
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason, Stage
from tests.compute_horde.vectors import JOB

SECRET = "password=hunter2"
OTHERS = [
    errors.ConfigurationError(SECRET),
    errors.ProtocolError(SECRET),
    errors.BadSignature(SECRET),
    errors.OutsideError(SECRET),
    errors.ChainError(SECRET),
    errors.StorageError(SECRET),
    errors.ContainerError(SECRET),
    RejectionError(RejectionReason.BUSY, SECRET),
    OSError(SECRET),
    KeyError(SECRET),
]


def sent(error: BaseException, during: Stage = Stage.EXECUTION) -> Ending:
    return failure(error, job_uuid=JOB, seen_by=Party.EXECUTOR, during=during)


@pytest.mark.parametrize("reason", FailureReason)
def test_a_job_error_blames_the_job_with_all_that_is_known(reason):
    error = JobError(reason, "exit 3", exit_status=3, stdout="o", stderr="e", context={"a": 1})
    assert sent(error) == JobFailed(
        job_uuid=JOB,
        message="exit 3",
        reason=reason,
        stage=Stage.EXECUTION,
        docker_process_exit_status=3,
        docker_process_stdout="o",
        docker_process_stderr="e",
        context={"a": 1},
    )


def test_nobody_is_to_blame_for_a_cancelled_job_and_its_output_is_kept():
    assert sent(Cancelled(stdout="o", stderr="e")) == JobCancelled(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        message="The job was cancelled",
        stage=Stage.EXECUTION,
        docker_process_stdout="o",
        docker_process_stderr="e",
    )


@pytest.mark.parametrize("reason", HordeReason)
def test_a_horde_error_blames_the_network_and_names_the_stage(reason):
    error = HordeError(reason, "the executor is gone", context={"code": 1006})
    assert sent(error, Stage.VOLUME_DOWNLOAD) == HordeFailed(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        message="the executor is gone",
        reason=reason,
        context={"code": 1006, "stage": "volume_download"},
    )


@pytest.mark.parametrize("stage", TIMEOUT_TEXT)
def test_a_stage_of_the_job_that_outlives_its_limit_is_the_job_s_fault(stage):
    blamed = sent(TimeoutError(), stage)
    assert isinstance(blamed, JobFailed)
    assert (blamed.reason, blamed.stage, blamed.message) == (
        FailureReason.TIMEOUT,
        stage,
        TIMEOUT_TEXT[stage],
    )


@pytest.mark.parametrize("stage", sorted(set(Stage) - TIMEOUT_TEXT.keys()))
def test_any_other_silence_is_the_network_s(stage):
    blamed = sent(TimeoutError(), stage)
    assert isinstance(blamed, HordeFailed)
    assert (blamed.reason, blamed.context) == (HordeReason.UNHANDLED_TIMEOUT, {"stage": str(stage)})


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_what_nobody_foresaw_is_the_network_s_and_keeps_its_secrets(error):
    blamed = sent(error)
    assert blamed == HordeFailed(
        job_uuid=JOB,
        reported_by=Party.EXECUTOR,
        message="Unhandled exception",
        reason=HordeReason.UNHANDLED_EXCEPTION,
        context={"exception_type": type(error).__name__, "stage": "execution"},
    )
    assert SECRET not in blamed.encode()


@pytest.mark.parametrize("party", Party)
def test_the_party_that_saw_it_is_named(party):
    blamed = failure(OSError(), job_uuid=JOB, seen_by=party, during=Stage.UNKNOWN)
    assert blamed.reported_by is party
