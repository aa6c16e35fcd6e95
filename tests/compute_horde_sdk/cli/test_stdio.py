"""Streams that cannot be written to are reported, and change nothing else."""

import os
import subprocess
import sys

import pytest

from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.cli.test_commands import invoke
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps
from tests.compute_horde_sdk.test_jobs import FAILURE

pytestmark = pytest.mark.usefixtures("settings")


def shell(line, unbuffered=""):
    """Exit code, stdout and stderr of a line, in which `CH` is the command."""
    known = {"CH": f"{sys.executable} -m compute_horde_sdk", "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | known,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("options", ["", "--json "])
def test_output_that_finds_no_room_is_told_and_is_no_success(server, options, unbuffered):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("out")))
    code, _, stderr = shell(f"$CH run {options}busybox >/dev/full", unbuffered)
    assert code == Exit.OUTPUT_UNWRITTEN
    assert "cannot be written: No space left" in stderr.splitlines()[-1]


def test_output_that_finds_no_room_while_the_job_runs_can_be_read_later(server):
    server.log = [{"stream": "stdout", "text": "a\n"}]
    code, _, stderr = shell("$CH run busybox >/dev/full")
    assert code == Exit.OUTPUT_UNWRITTEN
    assert f"compute-horde logs {next(iter(server.jobs))}" in stderr.splitlines()[-1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["jobs", "jobs --json", "job UUID", "logs UUID"])
def test_answers_that_find_no_room_are_told(server, words, unbuffered):
    server.log = [{"stream": "stdout", "text": "a\n"}]
    assert invoke("run", "busybox").exit_code == 0
    line = f"$CH {words.replace('UUID', next(iter(server.jobs)))}"
    code, _, stderr = shell(f"{line} >/dev/full", unbuffered)
    assert code == Exit.OUTPUT_UNWRITTEN
    assert stderr.count("\n") == 1
    assert "cannot be written: No space left" in stderr
    code, _, stderr = shell(f"set -o pipefail; {line} | true", unbuffered)
    assert (code, stderr) in {(0, ""), (Exit.OUTPUT_UNWRITTEN, "")}


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_without_a_stderr_the_job_is_run_all_the_same(server, stderr):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    assert shell(f"$CH run busybox {stderr}")[:2] == (3, "so far")


def test_without_a_stdout_the_job_is_run_all_the_same(server):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    code, _, stderr = shell("$CH run busybox >&-")
    assert code == 3
    assert "the job's output cannot be written: the stream is closed" in stderr
    assert "ended failed" in stderr


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        ("run busybox >&-", ""),
        ("run busybox <&- >&-", "1"),
        ("run --json busybox >&-", ""),
        ("jobs >&-", "1"),
        ("-h >&-", ""),
    ],
)
def test_what_a_closed_stdout_loses_is_told_and_is_no_success(server, words, unbuffered):
    code, _, stderr = shell(f"$CH {words}", unbuffered)
    assert code == Exit.OUTPUT_UNWRITTEN
    assert "cannot be written: the stream is closed" in stderr.splitlines()[-1]


def test_a_closed_stdout_is_no_problem_for_a_job_that_prints_nothing(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("")))
    assert shell("$CH run busybox >&-")[0] == 0


def test_a_closed_stdin_is_no_empty_input(server):
    code, _, stderr = shell("$CH run -i -:a busybox <&-")
    assert code == Exit.NOT_RUN
    assert "stdin, the input '-', cannot be read: it is closed" in stderr
    assert not server.jobs


def test_letters_that_the_terminal_does_not_have_are_escaped(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("\N{SNOWMAN}")))
    assert shell("PYTHONIOENCODING=ascii $CH run busybox")[:2] == (0, "\\u2603")
