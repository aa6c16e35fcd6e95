"""The commands as a user types them."""

import subprocess
import sys

import pytest

from localnet import network_lifecycle, postgres
from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT


@pytest.fixture
def localnet(tmp_path):
    """Runs a command on a network of the test's own."""
    path = tmp_path / "network"

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "localnet", *words, "--home", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    yield run
    network_lifecycle.down(NetworkDir.at(path))
    postgres.remove(NetworkDir.at(path))


def test_up_status_env_down(localnet):
    assert (localnet("status").returncode, localnet("env").returncode) == (1, 1)
    up = localnet("up", "--only", "valkey")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "valkey ready" in up.stdout
    assert "python -m localnet down" in up.stdout

    status = localnet("status")
    assert status.returncode == 0
    assert status.stdout.split()[:6] == ["process", "pid", "state", "restarts", "uptime", "log"]
    assert "ready" in status.stdout

    lines = dict(line.split("=", 1) for line in localnet("env").stdout.splitlines())
    assert lines["REDIS_URL"].startswith("redis://127.0.0.1:")

    first, second = localnet("down").stdout, localnet("down").stdout
    assert first.startswith("The network is stopped.\nIts data, keys and logs are kept in ")
    assert second.startswith("The network was not running.\n")
    stopped = localnet("status")
    assert stopped.returncode == 1
    assert "not up" in stopped.stdout


def test_an_unknown_process_is_refused(localnet):
    up = localnet("up", "--only", "redis")
    assert up.returncode == 1
    assert up.stdout.startswith("the network did not start: no process 'redis'; there are ")
    assert "Traceback" not in up.stdout + up.stderr
