"""A real Valkey: killed, and nothing acknowledged is lost."""

import asyncio
import os
import signal
import socket

from localnet import valkey
from localnet.home import Home
from localnet.processes import Supervisor


def say(home, *words):
    """Says one command as Redis clients do and returns the answer."""
    with socket.create_connection(("127.0.0.1", home.port("valkey")), timeout=5) as server:
        parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
        server.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        return server.recv(64).decode()


async def test_a_killed_server_comes_back_with_what_it_knew(tmp_path):
    home = Home.at(tmp_path)
    supervisor = Supervisor([valkey.process(home)], home.log)
    await supervisor.start()
    assert say(home, "SET", "job", "7") == "+OK\r\n"
    keeper = supervisor.keepers["valkey"]
    victim = keeper.pid
    os.kill(victim, signal.SIGKILL)
    while keeper.pid in (victim, None) or not await keeper.process.ready():
        await asyncio.sleep(0.02)
    assert say(home, "GET", "job") == "$1\r\n7\r\n"
    await supervisor.stop()
    assert valkey.url(home) == f"redis://127.0.0.1:{home.port('valkey')}/0"
