"""Connections for single jobs: so many at once, closed with their job, and never another's."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from compute_horde.adapters.websocket import ConnectionLostError
from tests.eventually import eventually
from tests.peers.keys import VALIDATOR
from tests.peers.miner import result
from tests.peers.published_miner import PublishedMiner
from tests.peers.websocket_server import serving
from tests.validator.conftest import address
from validator.miners import job_connections
from validator.miners.connection import Address
from validator.miners.job_connections import JobConnections, NoFreeConnectionError

JOB = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"


def nobody(*_: object) -> None:
    """Takes messages of other jobs."""


async def test_a_connection_is_open_for_its_job_and_closed_after_it() -> None:
    miner, connections = PublishedMiner(), JobConnections(VALIDATOR, absence_seconds=5)
    async with serving(miner):
        async with connections.opened(address(miner), nobody) as own:
            assert own.connected
            assert miner.logins == 1
        assert not own.connected
        await eventually(lambda: not miner.connections)
    assert not connections.deliver(miner.hotkey, result(JOB), 1)


async def test_only_so_many_are_open_and_the_next_waits_for_one(monkeypatch) -> None:
    monkeypatch.setattr(job_connections, "CONNECTIONS_PER_MINER", 2)
    miner = PublishedMiner()
    connections = JobConnections(VALIDATOR, absence_seconds=5, free_seconds=0.2)
    async with serving(miner), AsyncExitStack() as opened:
        for _ in range(2):
            await opened.enter_async_context(connections.opened(address(miner), nobody))
        with pytest.raises(
            NoFreeConnectionError, match=f"2 connections to miner {miner.hotkey} are in use"
        ):
            await opened.enter_async_context(connections.opened(address(miner), nobody))
        assert miner.most_connections == 2
        monkeypatch.setattr(connections, "_free_seconds", 60)
        waiting = asyncio.create_task(
            opened.enter_async_context(connections.opened(address(miner), nobody))
        )
        await opened.pop_all().aclose()
        assert (await waiting).connected
        assert miner.logins == 3
        await opened.aclose()


async def test_a_caller_may_wait_longer_for_a_free_connection(monkeypatch) -> None:
    monkeypatch.setattr(job_connections, "CONNECTIONS_PER_MINER", 1)
    miner = PublishedMiner()
    connections = JobConnections(VALIDATOR, absence_seconds=5, free_seconds=60)

    async def second() -> bool:
        async with connections.opened(address(miner), nobody) as own:
            return own.connected

    async with serving(miner):
        async with connections.opened(address(miner), nobody):
            waiting = asyncio.create_task(second())
            # It still waits.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 0.2)
        assert await waiting


async def test_a_miner_that_is_away_gets_no_connection_and_keeps_no_place(monkeypatch) -> None:
    monkeypatch.setattr(job_connections, "LOGIN_SECONDS", 0.1)
    monkeypatch.setattr(job_connections, "CONNECTIONS_PER_MINER", 1)
    miner, connections = PublishedMiner(), JobConnections(VALIDATOR, absence_seconds=5)
    away = Address(miner.hotkey, "127.0.0.1", 1)
    for _ in range(3):
        with pytest.raises(ConnectionLostError, match="no connection for a job could be opened"):
            async with connections.opened(away, nobody):
                pass
    monkeypatch.setattr(job_connections, "LOGIN_SECONDS", 10)
    async with serving(miner), connections.opened(address(miner), nobody) as own:
        assert own.connected


async def test_a_job_gets_a_message_that_came_elsewhere_only_while_its_connection_is_lost() -> None:
    miner, connections = PublishedMiner(), JobConnections(VALIDATOR, absence_seconds=5)
    async with serving(miner), connections.opened(address(miner), nobody) as own:
        with own.inbox(JOB) as listen:
            # The job will read it on its own connection.
            assert connections.deliver(miner.hotkey, result(JOB, "on both"), 1)
            assert not connections.deliver(miner.hotkey, result(OTHER), 1)
            assert not connections.deliver("another miner", result(JOB), 1)
            await miner.stop()
            await eventually(lambda: not own.connected)
            assert connections.deliver(miner.hotkey, result(JOB, "lost"), 1)
            assert await listen() == result(JOB, "lost")


async def test_a_lost_connection_is_opened_again_where_the_miner_is_now() -> None:
    old, new = PublishedMiner(), PublishedMiner()
    connections = JobConnections(VALIDATOR, absence_seconds=5)
    async with serving(old, new), connections.opened(address(old), nobody) as own:
        connections.set_address(address(new))
        await old.stop()
        await new.until(lambda: new.logins)
        assert await own.wait(30)
