"""The command ends at once on a signal or without a reader, and names the job."""

import os
import pty
import signal
import socket
import subprocess
import sys

import pytest

from compute_horde_sdk.cli.exit_codes import Exit
from tests.compute_horde_sdk.cli.test_stdio import shell
from tests.compute_horde_sdk.pretend import steps

pytestmark = pytest.mark.usefixtures("settings")

COMMAND = [sys.executable, "-m", "compute_horde_sdk"]
RUNNING = ("received", "accepted", "executor_ready", "volumes_ready")


@pytest.fixture
def endless(server):
    """Every job prints one line and then goes on for ever."""
    server.log = [{"stream": "stdout", "text": "one\n"}]
    server.log_goes_on = True
    server.script = steps(*RUNNING)
    return server


def started(*words, **options):
    """A process of the command whose job runs."""
    process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True, **options)
    while "volumes_ready" not in process.stderr.readline():
        pass
    return process


def test_a_reader_that_has_seen_enough_ends_the_command(endless):
    code, out, stderr = shell("set -o pipefail; $CH run busybox | head -1")
    (uuid,) = endless.jobs
    assert (code, out) == (Exit.OUTPUT_UNWRITTEN, "one\n")
    assert f"nobody reads the output any more; job {uuid} goes on" in stderr
    assert f"compute-horde cancel {uuid}" in stderr


@pytest.mark.parametrize("words", ["run --json busybox", "job --wait UUID", "logs -f UUID"])
def test_a_reader_that_reads_nothing_ends_the_command(endless, words):
    shell("$CH run busybox | head -1")
    line = f"$CH {words.replace('UUID', next(iter(endless.jobs)))} | true"
    code, out, _ = shell(f"set -o pipefail; {line}")
    assert (code, out) == (Exit.OUTPUT_UNWRITTEN, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_with_the_job_and_its_state(endless, number):
    process = started("run", "busybox", stdout=subprocess.PIPE)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    (uuid,) = endless.jobs
    assert process.returncode == Exit.TERMINATED
    assert f"terminated; job {uuid} goes on (its last status: volumes_ready)" in stderr
    assert f"compute-horde job {uuid} --wait" in stderr
    assert "Traceback" not in stderr


def test_a_signal_that_is_to_be_ignored_is_ignored(endless):
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = started("run", "busybox", stdout=subprocess.DEVNULL, **ignoring)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == Exit.TERMINATED


def test_a_signal_before_there_is_a_job_says_where_to_look(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setenv("FACILITATOR_URL", url)
        process = subprocess.Popen(
            [*COMMAND, "run", "busybox"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # Wait for the first line of output.
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    assert f"no answer from {url} (ReadTimeout); trying again" in first
    assert process.returncode == Exit.TERMINATED
    assert stderr.startswith("terminated; ")
    assert "compute-horde jobs" in stderr


def test_on_a_terminal_the_cursor_is_there_again(endless):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "busybox"], stdout=subprocess.DEVNULL, stderr=slave,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:
            break
        if b"volumes_ready" in shown and process.poll() is None:
            process.send_signal(signal.SIGTERM)
    os.close(master)
    assert process.wait(30) == Exit.TERMINATED
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"terminated; job" in shown
