"""Executors are out of service while the engine fails to remove their containers."""

import asyncio
import json
from pathlib import Path

import pytest

from compute_horde.hardware import ExecutorClass
from miner.executors import quarantine
from miner.executors.docker_engine import DockerEngine
from miner.executors.quarantine import Quarantine

CLASS = ExecutorClass.always_on__test


class WedgedEngine:
    """An engine that lists one container and fails to remove it until `removes` is set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.removes = False
        self.requested = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._answer, self.path)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, body = 200, b"[]"
        if head.startswith("GET"):
            body = json.dumps([] if self.removes else [{"Id": "c1"}]).encode()
        elif not self.removes:
            status, body = 500, b'{"message": "could not kill container"}'
            self.requested.set()
        writer.write(b"HTTP/1.0 %d x\r\nServer: test\r\n\r\n" % status + body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def wedged(tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "FIRST_PAUSE_SECONDS", 0.01)
    async with WedgedEngine(tmp_path / "s") as engine:
        yield engine


def recorded():
    changes = []
    return changes, Quarantine(lambda *change: changes.append(change))


async def test_an_executor_is_out_of_service_until_its_containers_are_removed(wedged):
    changes, it = recorded()
    engine = DockerEngine(wedged.path)
    cleaning = asyncio.create_task(it.clean(engine, "token", CLASS, is_unclean=False))
    await asyncio.wait_for(wedged.requested.wait(), 30)
    assert not cleaning.done()
    wedged.removes = True
    await asyncio.wait_for(cleaning, 30)
    (first, second) = changes
    assert first[:2] == (CLASS, 1)
    assert "could not kill container" in first[2]
    assert second == (CLASS, -1, "")


async def test_an_executor_that_reports_leftovers_is_out_of_service_at_once(wedged):
    changes, it = recorded()
    wedged.removes = True
    await it.clean(DockerEngine(wedged.path), "token", CLASS, is_unclean=True)
    assert [change[1] for change in changes] == [1, -1]


async def test_an_executor_whose_containers_are_removed_at_once_stays_in_service(wedged):
    changes, it = recorded()
    wedged.removes = True
    await it.clean(DockerEngine(wedged.path), "token", CLASS, is_unclean=False)
    assert changes == []


async def test_without_an_engine_there_is_nothing_to_remove(tmp_path):
    changes, it = recorded()
    await it.clean(DockerEngine(tmp_path / "none"), "token", CLASS, is_unclean=False)
    assert changes == []
