"""Who is at fault for errors of the engine."""

import pytest

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from executor.sandbox import engine_faults

BROKEN = 500


@pytest.mark.parametrize("name", ["", "../x", "a//b", "a/.b", "x" * 600, "a b", "a\n"])
def test_what_can_be_no_name_is_refused(name):
    with pytest.raises(JobError, match="no image name"):
        engine_faults.check_name(name)


def test_a_command_that_is_not_there_ends_as_a_shell_says():
    fault = engine_faults.start_error(400, 'exec: "x": executable file not found in $PATH')
    assert fault
    assert fault.exit_status == 127
    assert fault.context == JobCause.NOT_STARTED.context
    fault = engine_faults.start_error(400, 'exec: "x": permission denied')
    assert fault
    assert fault.exit_status == 126
    assert engine_faults.start_error(BROKEN, "unable to find user nobody: no matching entries")
    assert engine_faults.start_error(BROKEN, "no space left on device") is None


def test_what_an_operator_asked_for_is_not_the_jobs_fault():
    assert engine_faults.creation_error(400, "unknown runtime specified runsc") is None
    assert engine_faults.creation_error(400, "invalid environment variable: =") is not None
