"""The `local` manager, with a scripted prefork server and with the real one."""

import asyncio

import pytest

from compute_horde.hardware import ExecutorClass
from miner.config import config
from miner.executors import local_manager
from miner.executors.local_manager import LocalManager
from miner.executors.manager import ManagerSettings

CLASS = ExecutorClass.always_on__test

# Answers as a prefork server does: a token "bad…" exits at once, "crash" ends the server.
PREFORK_SERVER = """
import json, sys
for line in sys.stdin:
    command = json.loads(line)
    token = command["token"]
    def report(**fields):
        print(json.dumps({"token": token, **fields}), flush=True)
    if command.get("kill"):
        report(exit=-15)
    elif token == "crash":
        sys.exit(1)
    else:
        report(pid=1)
        print("nonsense", flush=True)
        if token.startswith("bad"):
            report(exit=1)
"""


@pytest.fixture
async def manager(monkeypatch, tmp_path):
    monkeypatch.setattr(local_manager, "PREFORK_COMMAND", ("-c", PREFORK_SERVER))
    monkeypatch.setattr(local_manager, "RESTART_SECONDS", 0.01)
    ended = asyncio.Queue()
    setting = ManagerSettings(
        "ws://127.0.0.1:1", "tests", work_dir=tmp_path, docker_socket=tmp_path / "no-docker"
    )
    it = LocalManager(setting, lambda *how: ended.put_nowait(how))
    await it.open()
    yield it, ended
    await it.close()


async def next_end(ended):
    return await asyncio.wait_for(ended.get(), 30)


async def test_the_end_of_an_executor_is_reported_once(manager):
    it, ended = manager
    await it.start("bad", CLASS)
    assert await next_end(ended) == ("bad", "exit code 1")
    await it.kill("bad")
    assert ended.empty()


async def test_an_executor_is_killed_by_its_prefork_server(manager):
    it, ended = manager
    await it.start("good", CLASS)
    await it.kill("good")
    assert await next_end(ended) == ("good", "exit code -15")


async def test_a_prefork_server_that_ends_is_restarted_and_its_children_have_ended(manager):
    it, ended = manager
    await it.start("good", CLASS)
    await it.start("crash", CLASS)
    assert {await next_end(ended), await next_end(ended)} == {
        ("good", "its prefork server ended"),
        ("crash", "its prefork server ended"),
    }
    await it.start("bad", CLASS)
    assert await next_end(ended) == ("bad", "exit code 1")


async def test_the_real_prefork_server_starts_an_executor_that_finds_no_miner(tmp_path):
    ended = asyncio.Queue()
    setting = ManagerSettings(
        "ws://127.0.0.1:1", "tests", work_dir=tmp_path, docker_socket=config.docker_socket
    )
    it = LocalManager(setting, lambda *how: ended.put_nowait(how))
    await it.open()
    await it.start("token", CLASS)
    token, how = await asyncio.wait_for(ended.get(), 30)
    assert token == "token"
    assert how.startswith("exit code ")
    await it.close()
