"""A tunnel that opens, fails to, and is opened again."""

import asyncio
import socket
import sys

import pytest

from compute_horde.errors import ContainerError
from miner.executors import tunnel
from miner.executors.tunnel import Tunnel

FORWARDS = """
import os, socket, sys, time
with socket.socket(socket.AF_UNIX) as end:
    end.bind(sys.argv[1] + ".new")
    end.listen()
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(60)
"""


def python(program, *arguments):
    return [sys.executable, "-c", program, *map(str, arguments)]


def answers(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(path))


async def test_it_is_up_when_the_socket_is_there(tmp_path):
    path = tmp_path / "docker.sock"
    it = Tunnel(python(FORWARDS, path), path)
    await asyncio.gather(it.up(), it.up())
    assert path.exists()
    await it.down()


async def test_it_is_opened_again_when_it_died(tmp_path):
    path = tmp_path / "docker.sock"
    it = Tunnel(python(FORWARDS, path), path)
    await it.up()
    await it.down()
    # The one that died left its socket; nobody answers on it.
    assert path.exists()
    await it.up()
    await asyncio.to_thread(answers, path)
    await it.down()


async def test_what_ssh_says_is_passed_on(tmp_path):
    complaint = "import sys; sys.exit('Host key verification failed.')"
    it = Tunnel(python(complaint), tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="Host key verification failed"):
        await it.up()


async def test_one_that_opens_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(tunnel, "OPEN_SECONDS", 0.05)
    it = Tunnel(python("import time; time.sleep(60)"), tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="nothing within"):
        await it.up()


async def test_a_machine_without_ssh_is_told_so(tmp_path):
    it = Tunnel(["no-such-ssh"], tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="cannot be started"):
        await it.up()
