"""Who is to blame for what an engine or a registry says."""

import pytest

from compute_horde.errors import HordeError, JobError
from executor import complaints

BROKEN = 500


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (404, "pull access denied for x, repository does not exist", JobError),
        (400, "invalid reference format", JobError),
        (500, "toomanyrequests: You have reached your pull rate limit", HordeError),
        (500, "received unexpected HTTP status: 503 Service Unavailable", HordeError),
        (500, "Get https://x.example/v2/: dial tcp: lookup x.example: no such host", HordeError),
        (500, "failed to register layer: disk", type(None)),
    ],
)
def test_a_missing_image_is_the_users_and_a_registry_in_trouble_nobodys(status, detail, kind):
    assert type(complaints.of_fetch("org/x:1", status, detail)) is kind


def test_an_image_may_be_named_like_trouble():
    named = "toomanyrequests"
    fault = complaints.of_fetch(named, 404, f"pull access denied for {named}, denied:")
    assert isinstance(fault, JobError)


@pytest.mark.parametrize("name", ["", "../x", "a//b", "a/.b", "x" * 600, "a b", "a\n"])
def test_what_can_be_no_name_is_refused(name):
    with pytest.raises(JobError, match="no image name"):
        complaints.check_name(name)


def test_a_command_that_is_not_there_ends_as_a_shell_says():
    fault = complaints.of_start(400, 'exec: "x": executable file not found in $PATH')
    assert fault
    assert fault.exit_status == 127
    fault = complaints.of_start(400, 'exec: "x": permission denied')
    assert fault
    assert fault.exit_status == 126
    assert complaints.of_start(BROKEN, "unable to find user nobody: no matching entries")
    assert complaints.of_start(BROKEN, "no space left on device") is None


def test_what_an_operator_asked_for_is_not_the_jobs_fault():
    assert complaints.of_creation(400, "unknown runtime specified runsc") is None
    assert complaints.of_creation(400, "invalid environment variable: =") is not None
