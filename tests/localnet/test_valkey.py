"""A real Valkey: acknowledged writes survive a kill."""

import asyncio
import os
import signal
import socket

from localnet import valkey
from localnet.network_dir import NetworkDir
from localnet.supervisor.supervisor import Supervisor


def request(network_dir, *words):
    """Send one command in the Redis protocol; the response."""
    with socket.create_connection(("127.0.0.1", network_dir.port("valkey")), timeout=30) as server:
        parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
        server.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        return server.recv(64).decode()


async def test_a_killed_server_restarts_with_its_data(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    supervisor = Supervisor([valkey.process(network_dir)], network_dir.log)
    await supervisor.start()
    assert request(network_dir, "SET", "job", "7") == "+OK\r\n"
    supervised = supervisor.processes["valkey"]
    victim = supervised.pid
    os.kill(victim, signal.SIGKILL)
    while supervised.pid in (victim, None) or not await supervised.spec.probe():
        await asyncio.sleep(0.02)
    assert request(network_dir, "GET", "job") == "$1\r\n7\r\n"
    await supervisor.stop()
    assert valkey.url(network_dir) == f"redis://127.0.0.1:{network_dir.port('valkey')}/0"
