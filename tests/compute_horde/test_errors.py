"""The exception tree names the party at fault."""

import pytest

from compute_horde import errors
from compute_horde.errors import HordeError, JobError, RejectionError
from compute_horde.lifecycle import IllegalTransition
from compute_horde.vocabulary import FailureReason, HordeReason, RejectionReason

BRANCHES = {
    errors.ConfigurationError: errors.ComputeHordeError,
    errors.ProtocolError: errors.ComputeHordeError,
    errors.BadSignature: errors.ProtocolError,
    IllegalTransition: errors.ProtocolError,
    errors.RejectionError: errors.ComputeHordeError,
    errors.JobError: errors.ComputeHordeError,
    errors.HordeError: errors.ComputeHordeError,
    errors.OutsideError: errors.ComputeHordeError,
    errors.ChainError: errors.OutsideError,
    errors.StorageError: errors.OutsideError,
    errors.ContainerError: errors.OutsideError,
}


@pytest.mark.parametrize("error", BRANCHES, ids=lambda error: error.__name__)
def test_each_error_grows_on_its_branch(error):
    assert error.__bases__ == (BRANCHES[error],)


def test_a_rejection_tells_its_reason_when_it_has_nothing_else_to_say():
    assert str(RejectionError(RejectionReason.BUSY)) == "busy"
    assert str(RejectionError(RejectionReason.BUSY, "three jobs wait")) == "three jobs wait"


def test_a_job_s_own_failure_keeps_what_its_container_left():
    error = JobError(
        FailureReason.NONZERO_RETURN_CODE,
        "exit 3",
        exit_status=3,
        stdout="o",
        stderr="e",
        context={"a": 1},
    )
    kept = (error.reason, error.exit_status, error.stdout, error.stderr, error.context, str(error))
    assert kept == (FailureReason.NONZERO_RETURN_CODE, 3, "o", "e", {"a": 1}, "exit 3")


def test_a_failure_of_the_network_keeps_its_reason_and_context():
    error = HordeError(HordeReason.EXECUTOR_DISCONNECTED, "gone", context={"code": 1006})
    assert (error.reason, str(error), error.context) == (
        "executor_disconnected",
        "gone",
        {"code": 1006},
    )
