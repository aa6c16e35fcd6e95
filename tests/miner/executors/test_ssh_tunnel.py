"""An ssh tunnel that opens, fails to open, and is opened again."""

import asyncio
import socket
import sys

import pytest

from compute_horde.errors import ContainerError
from miner.executors import ssh_tunnel
from miner.executors.ssh_tunnel import Tunnel

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


def connect_to(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(path))


async def test_it_is_up_when_the_socket_exists(tmp_path):
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
    # The process that ended left its socket, on which nothing listens.
    assert path.exists()
    await it.up()
    await asyncio.to_thread(connect_to, path)
    await it.down()


async def test_the_error_output_of_ssh_is_in_the_error(tmp_path):
    failing = "import sys; sys.exit('Host key verification failed.')"
    it = Tunnel(python(failing), tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="Host key verification failed"):
        await it.up()


async def test_a_tunnel_that_does_not_open_in_time_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(ssh_tunnel, "OPEN_SECONDS", 0.05)
    it = Tunnel(python("import time; time.sleep(60)"), tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="did not open the tunnel within"):
        await it.up()


async def test_a_missing_ssh_is_an_error(tmp_path):
    it = Tunnel(["no-such-ssh"], tmp_path / "docker.sock")
    with pytest.raises(ContainerError, match="cannot be started"):
        await it.up()
