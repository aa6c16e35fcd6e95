"""An executor that cannot work says so in one line, and shows no secret."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localnet.network_dir import free_port
from tests.starts.world import MARK, REFUSAL_SECONDS, START_SECONDS, Running, without_rights

PYTHON = (sys.executable, "-m")
Env = dict[str, str]


@contextmanager
def _no_right(folder: Path, env: Env) -> Iterator[None]:
    path = folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        path.chmod(0)
        env["EXECUTOR_DOCKER_URL"] = f"unix://{path}"
        yield


FAULTS: dict[str, tuple[Env, str]] = {
    "no token": ({"EXECUTOR_TOKEN": ""}, "EXECUTOR_TOKEN is not set"),
    "wrong number": ({"EXECUTOR_CPUS": MARK}, "EXECUTOR_CPUS: "),
    "wrong class": ({"EXECUTOR_CLASS": MARK}, "EXECUTOR_CLASS: "),
    "no Docker socket": ({"EXECUTOR_DOCKER_URL": "unix:///none.sock"}, "none.sock"),
    "work directory": ({"EXECUTOR_WORK_DIR": "/proc/none"}, "EXECUTOR_WORK_DIR cannot be used"),
}


def told(folder: Path) -> Env:
    return os.environ | {
        "EXECUTOR_MINER_ADDRESS": f"ws://127.0.0.1:{free_port()}",
        "EXECUTOR_TOKEN": f"{MARK}token",
        "EXECUTOR_HUB_TOKEN": f"{MARK}hub",
        "EXECUTOR_OWNER": f"starts-{folder.name}",
        "EXECUTOR_WORK_DIR": str(folder / "work"),
    }


def refused(running: Running, words: str) -> None:
    took = running.ends(START_SECONDS)
    assert running.process.returncode > 0
    assert len(running.lines) == 1, running.output
    assert words in running.output
    assert MARK not in running.output
    assert took < REFUSAL_SECONDS


@pytest.mark.docker
@pytest.mark.parametrize("name", FAULTS)
def test_an_executor_that_cannot_work_says_so_in_one_line(name, start, tmp_path):
    env, words = FAULTS[name]
    refused(start([*PYTHON, "executor"], told(tmp_path) | env), words)


def test_an_executor_without_a_right_to_the_engine_says_so_in_one_line(start, tmp_path):
    env = told(tmp_path)
    with _no_right(tmp_path, env):
        refused(start(without_rights([*PYTHON, "executor"]), env), "Permission denied")


@pytest.mark.docker
def test_an_executor_without_its_miner_says_so(start, tmp_path):
    running = start([*PYTHON, "executor"], told(tmp_path))
    running.ends(START_SECONDS)
    assert running.process.returncode == 3
    assert "miner lost" in running.lines[-1]
    assert "Traceback" not in running.output
    assert MARK not in running.output


@pytest.mark.docker
def test_a_parent_of_executors_says_that_it_is_ready_and_ends_with_its_orders(start, tmp_path):
    # Its orders come through a pipe, whose end ends it.
    piped = ["sh", "-c", 'true | exec "$@"', "sh", *PYTHON, "executor", "prefork"]
    running = start(piped, told(tmp_path) | {"EXECUTOR_CPUSS": "1"})
    running.says("not a setting, ignored setting='EXECUTOR_CPUSS' did_you_mean='EXECUTOR_CPUS'")
    running.ends(START_SECONDS)
    assert running.process.returncode == 0
    assert any("executor prefork is ready" in line for line in running.lines)
