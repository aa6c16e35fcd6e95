"""The local manager and its nursery, played by a small program and by the real one."""

import asyncio

import pytest

from compute_horde.hardware import ExecutorClass
from miner.config import config
from miner.executors import local
from miner.executors.local import LocalManager
from miner.executors.manager import Setting

CLASS = ExecutorClass.always_on__test

# Answers as a nursery does: "bad…" dies at once, "crash" takes the nursery with it.
NURSERY = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    token = order["token"]
    def tell(**fact):
        print(json.dumps({"token": token, **fact}), flush=True)
    if order.get("kill"):
        tell(exit=-15)
    elif token == "crash":
        sys.exit(1)
    else:
        tell(pid=1)
        print("nonsense", flush=True)
        if token.startswith("bad"):
            tell(exit=1)
"""


@pytest.fixture
async def manager(monkeypatch, tmp_path):
    monkeypatch.setattr(local, "NURSERY", ("-c", NURSERY))
    monkeypatch.setattr(local, "RESTART_SECONDS", 0.01)
    gone = asyncio.Queue()
    setting = Setting(
        "ws://127.0.0.1:1", "tests", work_dir=tmp_path, docker_socket=tmp_path / "no-docker"
    )
    it = LocalManager(setting, lambda *how: gone.put_nowait(how))
    await it.open()
    yield it, gone
    await it.close()


async def told(gone):
    return await asyncio.wait_for(gone.get(), 5)


async def test_an_executor_that_ends_is_told_of_once(manager):
    it, gone = manager
    await it.start("bad", CLASS)
    assert await told(gone) == ("bad", "exit code 1")
    await it.kill("bad")
    assert gone.empty()


async def test_an_executor_is_killed_by_its_nursery(manager):
    it, gone = manager
    await it.start("good", CLASS)
    await it.kill("good")
    assert await told(gone) == ("good", "exit code -15")


async def test_a_nursery_that_dies_takes_its_children_and_is_started_again(manager):
    it, gone = manager
    await it.start("good", CLASS)
    await it.start("crash", CLASS)
    assert {await told(gone), await told(gone)} == {
        ("good", "its nursery died"),
        ("crash", "its nursery died"),
    }
    await it.start("bad", CLASS)
    assert await told(gone) == ("bad", "exit code 1")


async def test_the_real_nursery_bears_an_executor_that_finds_no_miner(tmp_path):
    gone = asyncio.Queue()
    setting = Setting(
        "ws://127.0.0.1:1", "tests", work_dir=tmp_path, docker_socket=config.docker_socket
    )
    it = LocalManager(setting, lambda *how: gone.put_nowait(how))
    await it.open()
    await it.start("token", CLASS)
    token, how = await asyncio.wait_for(gone.get(), 30)
    assert token == "token"
    assert how.startswith("exit code ")
    await it.close()
