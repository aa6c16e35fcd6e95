"""Streams that cannot be written to are told, and change nothing else."""

import os
import subprocess
import sys

import pytest

from compute_horde_sdk.exits import Exit
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
    code, _, told = shell(f"$CH run {options}busybox >/dev/full", unbuffered)
    assert code == Exit.OUTPUT_MISSING
    assert "cannot be written: No space left" in told.splitlines()[-1]


def test_output_that_finds_no_room_while_the_job_runs_can_be_read_later(server):
    server.log = [{"stream": "stdout", "text": "a\n"}]
    code, _, told = shell("$CH run busybox >/dev/full")
    assert code == Exit.OUTPUT_MISSING
    assert f"compute-horde logs {next(iter(server.jobs))}" in told.splitlines()[-1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["jobs", "jobs --json", "job UUID", "logs UUID"])
def test_answers_that_find_no_room_are_told(server, words, unbuffered):
    server.log = [{"stream": "stdout", "text": "a\n"}]
    shell("$CH run busybox")
    line = f"$CH {words.replace('UUID', next(iter(server.jobs)))}"
    code, _, told = shell(f"{line} >/dev/full", unbuffered)
    assert code == Exit.OUTPUT_MISSING
    assert told.count("\n") == 1
    assert "cannot be written: No space left" in told
    code, _, told = shell(f"set -o pipefail; {line} | true", unbuffered)
    assert (code, told) in {(0, ""), (Exit.OUTPUT_MISSING, "")}


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_without_a_stderr_the_job_is_run_all_the_same(server, stderr):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    assert shell(f"$CH run busybox {stderr}")[:2] == (3, "so far")


def test_without_a_stdout_the_job_is_run_all_the_same(server):
    server.script = steps(*ON_THE_WAY, end=(0, "failed", FAILURE))
    code, _, told = shell("$CH run busybox >&-")
    assert code == 3
    assert "ended failed" in told


def test_letters_that_the_terminal_does_not_have_are_escaped(server):
    server.script = steps(*ON_THE_WAY, end=(0, "completed", finished("\N{SNOWMAN}")))
    assert shell("PYTHONIOENCODING=ascii $CH run busybox")[:2] == (0, "\\u2603")
