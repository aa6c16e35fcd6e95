"""The first command a stranger types."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from localnet import postgres
from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT
from localnet.supervisor import orphans


@pytest.fixture
def home(tmp_path):
    place = NetworkDir.at(tmp_path / "home")
    yield place
    orphans.terminate(place)
    postgres.remove(place)


def demo(home):
    return subprocess.Popen(
        [sys.executable, "-m", "localnet", "demo", "--home", str(home.path)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def running(home):
    """What still runs of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(orphans.NETWORK_VARIABLE) == str(home.path):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def test_a_demo_shows_one_job_and_leaves_nothing_running(home):
    told, _ = demo(home).communicate(timeout=280)
    assert "hello from a container" in told, told
    assert "WHAT CAME IN" in told
    for state in ("sent", "received", "accepted", "volumes_ready", "completed"):
        assert state in told
    assert "python -m localnet status" in told
    assert running(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(home, number):
    process = demo(home)
    while "ready" not in process.stdout.readline():
        time.sleep(0.01)
    assert running(home)
    os.kill(process.pid, number)
    told, _ = process.communicate(timeout=150)
    assert process.returncode == 130, told
    assert running(home) == []


def test_a_killed_demo_leaves_nothing_running(home):
    process = demo(home)
    while "ready" not in process.stdout.readline():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while running(home):
        assert time.monotonic() < deadline, running(home)
        time.sleep(0.1)
