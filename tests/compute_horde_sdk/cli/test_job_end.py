"""A command about a job that has not ended yet says so, rather than that its files are missing."""

import pytest
from typer.testing import CliRunner

from compute_horde_sdk.cli.commands import app
from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.pretend import ON_THE_WAY, steps
from tests.compute_horde_sdk.test_jobs import FAILURE, HORDE

pytestmark = pytest.mark.usefixtures("settings")

CANNOT_UPLOAD = {
    "reason": "upload_failed",
    "stage": "result_upload",
    "message": "m",
    "docker_process_exit_status": 0,
}


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_outputs_of_a_job_that_still_runs_are_told_to_come_later(server, tmp_path):
    server.script = steps("received", "accepted")
    invoke("run", "--timeout", "0.2", "busybox")
    (uuid,) = server.jobs
    done = invoke("job", uuid, "-o", f"a:{tmp_path}/a")
    assert done.exit_code == Exit.OUTPUT_MISSING
    assert f"job {uuid} has not ended yet (accepted)" in done.stderr
    assert "--wait" in done.stderr


@pytest.mark.parametrize("words", [("run", "busybox"), ("job", "--wait", "x")])
def test_a_wait_of_no_time_is_a_wrong_option(server, words):
    done = invoke(words[0], "--timeout", "-1", *words[1:])
    assert done.exit_code == Exit.NOT_RUN
    assert "more than 0" in done.stderr
    assert not server.jobs


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("failed", FAILURE, 3),
        ("failed", {"job_failure_details": CANNOT_UPLOAD}, Exit.JOB_FAILED),
        ("horde_failed", HORDE, Exit.HORDE_FAILED),
        ("cancelled", {}, Exit.CANCELLED),
    ],
)
def test_the_files_of_a_job_that_did_not_complete_are_said_not_to_be_kept(
    server, tmp_path, status, details, code
):
    server.script = steps(*ON_THE_WAY, end=(0, status, details))
    ran = invoke("run", "-o", f"a:{tmp_path}/a", "busybox")
    (uuid,) = server.jobs
    for words in ([], ["--wait"]):
        later = invoke("job", uuid, "-o", f"a:{tmp_path}/a", *words)
        assert ran.exit_code == later.exit_code == code
        for done in (ran, later):
            assert f"job {uuid} ended {status}, and the files of a job are kept only" in done.stderr
            assert "left nothing" not in done.stderr
