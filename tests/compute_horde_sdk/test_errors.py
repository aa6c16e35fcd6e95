"""One base for all errors, and the standard ones where users expect them."""

import pytest

from compute_horde import errors as shared
from compute_horde_sdk import errors
from compute_horde_sdk.fallback import errors as fallback
from compute_horde_sdk.jobs import ComputeHordeJob


@pytest.mark.parametrize(
    "kind",
    [
        errors.ComputeHordeNotFoundError,
        errors.ComputeHordeJobTimeoutError,
        errors.FacilitatorUnreachable,
        errors.RequestRefused,
        errors.JobUnsuccessful,
        fallback.FallbackError,
        fallback.FallbackNotFoundError,
        fallback.FallbackJobTimeoutError,
    ],
)
def test_one_except_clause_catches_all(kind):
    assert issubclass(kind, errors.ComputeHordeError)
    assert errors.ComputeHordeError is shared.ComputeHordeError


def test_a_wait_that_ran_out_is_a_timeout_too():
    assert issubclass(errors.ComputeHordeJobTimeoutError, TimeoutError)
    assert issubclass(fallback.FallbackJobTimeoutError, (fallback.FallbackError, TimeoutError))


def test_an_unsuccessful_job_says_why_as_far_as_anyone_knows(client):
    history = [{"status": "rejected", "created_at": "2026-01-01T00:00:00Z", "metadata": None}]
    job = ComputeHordeJob.from_answer(client, {"uuid": "1", "status_history": history})
    assert str(errors.JobUnsuccessful(job)) == "job 1 ended rejected: no reason given"
