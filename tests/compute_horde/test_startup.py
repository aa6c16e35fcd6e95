"""How a process ends that cannot work, and its one line when it can."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import logging, os, signal, sys
from compute_horde import startup
from compute_horde.errors import ConfigurationError
{setup}
with startup.reported("miner"):
    startup.name_process("miner web")
{body}
"""
LOGGED = "logging.basicConfig(level=logging.INFO, format='%(message)s')"
WRONG = "raise ConfigurationError('no key at postgresql://u:secret@h/n\\nat all')"
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM); print('went on')"


def run(*lines: str, setup: str = LOGGED) -> "subprocess.CompletedProcess[str]":
    body = "\n".join(f"    {line}" for line in lines)
    script = SCRIPT.format(setup=setup, body=body)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_a_process_that_cannot_start_says_so_in_one_line_without_secrets():
    done = run(WRONG)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("miner web: cannot start: no key at postgresql://")
    assert done.stderr.endswith(" at all\n")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_it_is_ready_once_and_has_stopped_afterwards():
    done = run("startup.ready(listens='here', miner=None)", "startup.ready()", WRONG)
    assert done.stderr.splitlines()[0] == "miner web is ready"
    assert done.stderr.count("is ready") == 1
    assert "miner web: stopped: no key" in done.stderr


@pytest.mark.parametrize("setup", [LOGGED, ""], ids=["logging", "none"])
def test_an_error_nobody_foresaw_is_shown_whole(setup):
    done = run("{}['absent']", setup=setup)
    assert done.returncode == 1
    assert "miner web ended by an error" in done.stderr
    assert "KeyError: 'absent'" in done.stderr


def test_an_interrupt_is_its_own_exit_code():
    done = run("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")


def test_sigterm_ends_it_at_once_before_it_is_ready():
    done = run(TERMINATE)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")
    assert done.stderr == "miner web: stopped before it was ready\n"


def test_sigterm_is_for_the_server_once_it_is_ready():
    done = run("startup.ready()", TERMINATE)
    assert (done.returncode, done.stdout) == (0, "went on\n")
