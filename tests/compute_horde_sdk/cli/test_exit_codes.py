"""The exit code of an ended job, and the text that explains the codes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_sdk.cli.exit_codes import EXIT_CODES, Exit, code
from compute_horde_sdk.client import EXAMPLE_UUID
from compute_horde_sdk.job_status import entry_from
from compute_horde_sdk.jobs import ComputeHordeJob


def ended(status, **metadata):
    """A job whose last status is `status`."""
    entry = {"status": status, "created_at": "2026-01-01T00:00:00Z", "metadata": metadata}
    return ComputeHordeJob(None, EXAMPLE_UUID, [entry_from(entry)])


def failed(reason, **more):
    details = {"reason": reason, "message": "m", "stage": "execution"} | more
    return ended("failed", job_failure_details=details)


HORDE = {"reason": "generic_error", "message": "m", "reported_by": "miner"}
REJECTION = {"reason": "no_miner_for_job", "message": "m", "rejected_by": "validator"}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (ended("completed"), 0),
        (failed("nonzero_return_code", docker_process_exit_status=3), 3),
        (failed("timeout"), Exit.TIMED_OUT),
        (failed("timeout", docker_process_exit_status=137), Exit.TIMED_OUT),
        (failed("download_failed"), Exit.JOB_FAILED),
        # The container ended well, and what came after it did not.
        (failed("upload_failed", docker_process_exit_status=0), Exit.JOB_FAILED),
        (ended("horde_failed", horde_failure_details=HORDE), Exit.HORDE_FAILED),
        (ended("rejected", job_rejection_details=REJECTION), Exit.HORDE_FAILED),
        (ended("rejected"), Exit.HORDE_FAILED),
        (ended("cancelled"), Exit.CANCELLED),
        (
            ended("cancelled", job_failure_details={"reason": "timeout", "message": "m"}),
            Exit.CANCELLED,
        ),
    ],
)
def test_a_job_has_the_exit_code_of_how_it_ended(job, expected):
    assert code(job) == expected


@given(st.integers(1, 255))
def test_a_container_s_own_failure_is_passed_on(status):
    assert code(failed("nonzero_return_code", docker_process_exit_status=status)) == status


@given(
    st.sampled_from(["failed", "horde_failed", "rejected", "cancelled"]),
    st.sampled_from(["timeout", "nonzero_return_code", "upload_failed"]),
    st.none() | st.integers(0, 255),
)
def test_only_a_completed_job_succeeds(status, reason, exit_status):
    details = {"reason": reason, "message": "m", "docker_process_exit_status": exit_status}
    assert code(ended(status, job_failure_details=details)) != 0


def test_the_help_explains_every_code_once():
    explained = [int(number) for number in re.findall(r"\b(\d+): ", EXIT_CODES)]
    # Signals are explained with the signal's name after the colon as well.
    assert sorted(explained) == sorted(Exit)
