"""The demo's own part: the job's files, its exit code, and which network is stopped."""

import io
import os
import signal
import stat

import pytest
from rich.console import Console

from localnet import demo, network_lifecycle
from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file

# In place of `compute-horde`: answers like the job, and exits with a code of its own.
CLIENT = """#!/bin/sh
for word; do
  case "$word" in
    answer.txt:*) out="${word#answer.txt:}" ;;
    *:in/) in="${word%%:in/}" ;;
  esac
done
tr a-z A-Z <"$in/question.txt" >"$out/answer.txt"
exit 7
"""


@pytest.fixture
def network_dir(tmp_path):
    return NetworkDir.at(tmp_path / "home")


@pytest.fixture(autouse=True)
def terminated():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """The networks that were stopped; the network and its client are replaced."""
    client = tmp_path / "compute-horde"
    client.write_text(CLIENT)
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(demo, "program", lambda name: str(tmp_path / name))
    monkeypatch.setattr(
        network_lifecycle, "up", lambda *_, on_progress, **__: on_progress("one ready")
    )
    stopped = []
    monkeypatch.setattr(network_lifecycle, "down", stopped.append)
    return stopped


def run(network_dir):
    console = Console(file=io.StringIO(), width=1000)
    return demo.run(network_dir, console), console.file.getvalue()


def test_a_job_s_files_and_exit_code_are_shown_and_the_network_stopped(network_dir, stopped):
    (network_dir.path / "demo" / "output").mkdir(parents=True)
    (network_dir.path / "demo" / "output" / "old").write_text("from the demo before")
    code, text = run(network_dir)
    assert code == 7
    assert "one ready" in text
    assert "answer.txt:\nWHAT CAME IN" in text
    assert "from the demo before" not in text
    assert f"-m localnet up --home {network_dir.path}" in text
    assert str(network_dir.env_file) in text
    assert stopped == [network_dir]


def test_a_network_that_was_up_stays_up(network_dir, stopped):
    with state_file.lock(network_dir):
        state_file.claim(network_dir, os.getpid())
        assert run(network_dir)[0] == 7
    assert stopped == []


def test_sigterm_ends_the_demo_and_stops_the_network(network_dir, stopped, monkeypatch):
    monkeypatch.setattr(
        network_lifecycle, "up", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    code, text = run(network_dir)
    assert code == 130
    assert "interrupted" in text
    assert stopped == [network_dir]


def test_a_network_that_does_not_start_is_stopped(network_dir, stopped, monkeypatch):
    def up(*_, **__):
        raise network_lifecycle.NotUpError("reason")

    monkeypatch.setattr(network_lifecycle, "up", up)
    with pytest.raises(network_lifecycle.NotUpError, match="reason"):
        run(network_dir)
    assert stopped == [network_dir]
