"""With --json a program reads one object, whatever happens, with the same keys everywhere."""

import json
import os
import signal
import subprocess
import sys

import pytest

from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.cli.test_commands import invoke
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps
from tests.compute_horde_sdk.test_jobs import FAILURE

pytestmark = pytest.mark.usefixtures("settings")

KEYS = {
    "uuid",
    "status",
    "docker_image",
    "executor_class",
    "exit_code",
    "error",
    "stdout",
    "stderr",
    "artifacts",
    "upload_results",
    "left_out",
    "truncated",
    "not_text",
    "raw_output",
    "inputs_left_out",
    "statuses",
}
UNKNOWN = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


def object_of(done):
    """The one object on stdout; its exit code is that of the command."""
    document = json.loads(done.stdout)
    assert document.keys() == KEYS
    assert document["exit_code"] == done.exit_code
    if document["error"]:
        error = document["error"]
        assert error.keys() >= {"kind", "reason", "message", "fault", "next_step"}
        assert error["message"] in done.stderr
    return document


@pytest.mark.parametrize(
    "words",
    [
        ["run", "busybox"],
        ["run", "-e", "A", "busybox"],
        ["run", "-i", "nowhere:x", "busybox"],
        ["run", "-o", "a:/dev/null", "busybox"],
        ["run", "--class", "big", "busybox"],
        ["run", "--bad-option", "busybox"],
        ["run", "--timeout", "-1", "busybox"],
        ["run"],
        ["jobs"],
        ["jobs", "--limit", "0"],
        ["job", UNKNOWN],
        ["job", "../x"],
        ["job", UNKNOWN, "--wait"],
        ["job"],
    ],
)
def test_what_keeps_a_command_from_running_is_an_object_too(server, words):
    if words in (["run", "busybox"], ["jobs"]):
        server.allowed.clear()
    document = object_of(invoke(words[0], "--json", *words[1:]))
    assert document["exit_code"] == Exit.NOT_RUN
    assert document["error"]["kind"] == "not_run"
    assert document["error"]["fault"] == "user"
    assert document["error"]["next_step"]
    assert not server.jobs


def test_a_facilitator_that_is_away_is_nobody_s_fault():
    done = invoke("jobs", "--json", "--facilitator-url", "http://127.0.0.1:9")
    error = object_of(done)["error"]
    assert (error["reason"], error["fault"]) == ("FacilitatorUnreachable", None)
    assert "try again later" in error["next_step"]


def test_a_wait_that_runs_out_names_the_job_and_its_status(server):
    server.script = steps("received", "accepted")
    document = object_of(invoke("run", "--json", "--timeout", "0.2", "busybox"))
    (uuid,) = server.jobs
    assert (document["uuid"], document["status"]) == (uuid, "accepted")
    assert document["exit_code"] == Exit.TIMED_OUT
    assert document["error"]["next_step"] == f"compute-horde job {uuid} --wait"
    later = object_of(invoke("job", "--json", "--wait", "--timeout", "0.2", uuid))
    assert (later["uuid"], later["status"]) == (uuid, "accepted")


@pytest.mark.parametrize(("end", "code"), [("completed", 0), ("failed", 3)])
def test_every_command_has_the_same_keys_for_a_job(server, end, code):
    metadata = finished("so far") if code == 0 else FAILURE
    server.script = steps(*ON_THE_WAY, end=(0, end, metadata))
    ran = object_of(invoke("run", "--json", "busybox"))
    assert ran["exit_code"] == code
    waited = object_of(invoke("job", "--json", "--wait", ran["uuid"]))
    shown = json.loads(invoke("job", "--json", ran["uuid"]).stdout)
    (listed,) = json.loads(invoke("jobs", "--json").stdout)
    assert ran == waited == shown == listed


def test_a_job_that_goes_on_has_no_exit_code(server):
    server.script = steps("received")
    invoke("run", "--timeout", "0.1", "busybox")
    (listed,) = json.loads(invoke("jobs", "--json").stdout)
    assert (listed["status"], listed["exit_code"], listed["error"]) == ("received", None, None)


@pytest.mark.parametrize("command", ["run", "job", "job --wait"])
def test_an_output_that_is_missing_is_the_error_of_a_completed_job(server, tmp_path, command):
    output = ["-o", f"a:{tmp_path}/a"]
    done = invoke("run", "--json", *output, "busybox")
    if command != "run":
        uuid = next(iter(server.jobs))
        done = invoke(*command.split(), "--json", *output, uuid)
    document = object_of(done)
    assert (document["status"], document["exit_code"]) == ("completed", Exit.OUTPUT_MISSING)
    assert (document["error"]["kind"], document["error"]["fault"]) == ("output_missing", "user")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, Exit.TERMINATED), (signal.SIGINT, Exit.INTERRUPTED)]
)
def test_a_signal_leaves_an_object_too(server, number, code):
    server.script = steps("received")
    process = subprocess.Popen(
        [sys.executable, "-m", "compute_horde_sdk", "run", "--json", "busybox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    for line in process.stderr:
        if "received" in line:
            break
    process.send_signal(number)
    document = json.loads(process.communicate(timeout=60)[0])
    assert document.keys() == KEYS
    assert process.returncode == document["exit_code"] == code
    assert document["error"]["kind"] == code.name.lower()
    assert (document["uuid"], document["status"]) == (next(iter(server.jobs)), "received")


@pytest.mark.parametrize("words", [["--bad"], ["nonesuch"], ["logs"], ["run", "--bad", "x"]])
def test_wrong_options_have_one_exit_code(words):
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (Exit.NOT_RUN, "")
    assert "Usage" in done.stderr
