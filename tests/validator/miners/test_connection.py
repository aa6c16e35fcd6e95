"""Connections to miners are lost and opened again."""

import asyncio
from itertools import pairwise

import pytest
from websockets.asyncio.server import ServerConnection

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.errors import HordeError
from compute_horde.protocol.capacity import MainHotkey, Manifest
from compute_horde.protocol.handshake import GenericError
from compute_horde.vocabulary import Extension, HordeReason
from tests.eventually import eventually
from tests.peers.miner import MinerPeer, result
from tests.peers.websocket_server import serving
from tests.validator.conftest import address, connection_to
from validator.miners import connection
from validator.miners.connection import Address, Callbacks

JOB = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"


async def test_a_line_opens_by_itself_and_tells_the_manifest() -> None:
    miner, received = MinerPeer(manifest={"always_on.test": 7}), []
    callbacks = Callbacks(
        on_manifest=lambda hotkey, manifest: received.append((hotkey, dict(manifest.manifest)))
    )
    async with serving(miner), connection_to(miner, callbacks=callbacks) as opened:
        assert await opened.wait(30)
    assert received == [(miner.hotkey, {"always_on.test": 7})]


async def test_what_a_miner_understands_is_known_while_it_is_connected() -> None:
    miner = MinerPeer()
    miner.extensions = ("cancel", "telepathy")
    async with serving(miner), connection_to(miner) as opened:
        assert opened.extensions == frozenset()
        assert await opened.wait(30)
        assert opened.extensions == {Extension.CANCEL}
        assert miner.announced == tuple(Extension)
        await miner.connections[0].close()
        await eventually(lambda: not opened.connected)
        assert opened.extensions == frozenset()


async def test_every_job_hears_only_what_is_said_of_it() -> None:
    miner, unmatched = MinerPeer(), []
    callbacks = Callbacks(on_unmatched=lambda opened, message, size: unmatched.append(message))
    async with serving(miner), connection_to(miner, callbacks=callbacks) as opened:
        await opened.wait(30)
        with opened.inbox(JOB) as listen, opened.inbox(OTHER) as other:
            await miner.send(result(OTHER), result(JOB))
            assert (await listen()).job_uuid == JOB
            assert (await other()).job_uuid == OTHER
        await miner.send(result(JOB))
        await eventually(lambda: unmatched == [result(JOB)])


async def test_complaints_and_nonsense_end_nothing() -> None:
    miner = MinerPeer()
    async with serving(miner), connection_to(miner) as opened:
        await opened.wait(30)
        with opened.inbox(JOB) as listen:
            await miner.send(GenericError(details="oh no"))
            await miner.connections[0].send("{nonsense")
            await miner.connections[0].send("PING")
            await miner.send(result(JOB))
            assert await listen() == result(JOB)


async def test_nothing_can_be_said_to_a_miner_that_is_away() -> None:
    miner = MinerPeer()
    async with serving(miner), connection_to(miner) as opened:
        with pytest.raises(ConnectionLostError):
            await opened.send(MainHotkey())
        assert not await opened.wait(0)


class DeafMiner(MinerPeer):
    """Accepts the login and then reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(Manifest(manifest=self.manifest).encode())
        socket.transport.pause_reading()
        await self.over.wait()
        socket.transport.abort()


async def test_a_miner_that_takes_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.2)
    miner = DeafMiner()
    async with serving(miner), connection_to(miner) as opened:
        assert await opened.wait(30)
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionLostError):
                await opened.send(GenericError(details="x" * 2**25))
        await eventually(lambda: not opened.connected)
        miner.over.set()


async def test_a_lost_line_is_opened_again_with_a_fresh_introduction() -> None:
    miner = MinerPeer()
    async with serving(miner), connection_to(miner) as opened:
        for login in range(1, 4):
            await miner.until(lambda login=login: miner.logins >= login)
            await eventually(lambda: opened.connected)
            await miner.connections[0].close()
        await miner.until(lambda: miner.logins == 4)
        await eventually(lambda: opened.connected)
        assert opened.connection_count == 4


async def test_a_miner_that_refuses_us_is_not_stormed() -> None:
    miner = MinerPeer()
    miner.accepts_logins = False
    attempts: list[float] = []
    serve = miner.serve

    async def counted(socket) -> None:
        attempts.append(asyncio.get_running_loop().time())
        await serve(socket)

    miner.serve = counted
    async with serving(miner), connection_to(miner) as opened:
        while len(attempts) < 5:
            opened.reconnect_now()
            await asyncio.sleep(0.02)
        assert not opened.connected
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    assert min(pauses) > connection.FIRST_RETRY_SECONDS / 2


async def test_pauses_grow_and_somebody_waiting_cuts_them_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(connection, "FIRST_RETRY_SECONDS", 0.02)

    def waits() -> list[float]:
        return [one.wait for one in caplog.records if one.message == "miner connection lost"]

    miner = MinerPeer()
    async with serving(miner):
        here = address(miner)
    async with connection_to(miner) as opened:
        assert opened.address == here
        while not waits() or waits()[-1] < connection.MAX_RETRY_SECONDS:
            opened.reconnect_now()
            await asyncio.sleep(0.02)
        assert waits() == [min(0.02 * 2**n, 30) for n in range(len(waits()))]
        await miner.start()
        try:
            opened.reconnect_now()
            assert await opened.wait(connection.MAX_RETRY_SECONDS / 2)
        finally:
            await miner.stop()


async def test_a_miner_that_stays_away_is_given_up_and_one_that_returns_is_not() -> None:
    miner = MinerPeer()
    async with serving(miner), connection_to(miner, absence_seconds=60) as opened:
        await opened.wait(30)
        with opened.inbox(JOB) as listen:
            await miner.stop()
            timer = await eventually(lambda: opened._absence_timer)
            await miner.start()
            await miner.until(lambda: miner.logins == 2)
            await eventually(timer.cancelled)
            await miner.send(result(JOB))
            assert await listen() == result(JOB)
            opened._absence_seconds = 0.1
            await miner.stop()
            with pytest.raises(HordeError) as caught:
                await listen()
    assert caught.value.reason is HordeReason.MINER_CONNECTION_FAILED
    assert miner.hotkey in str(caught.value)


async def test_who_listens_to_a_miner_never_seen_is_told_too() -> None:
    miner = MinerPeer()
    miner.port = 1
    async with connection_to(miner, absence_seconds=0.1) as opened:
        with opened.inbox(JOB) as listen, pytest.raises(HordeError):
            await listen()


def test_an_ipv6_address_is_bracketed() -> None:
    assert Address("m", "::1", 8000).url("v") == ("ws://[::1]:8000/v0.1/validator_interface/v")


async def test_a_complaint_of_any_length_is_logged_in_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    miner, received = MinerPeer(), []
    callbacks = Callbacks(on_manifest=lambda hotkey, manifest: received.append(hotkey))
    async with serving(miner), connection_to(miner, callbacks=callbacks) as opened:
        await opened.wait(30)
        await miner.send(GenericError(details="x" * 10**6), Manifest(manifest={}))
        await eventually(lambda: len(received) == 2)
    shown = [one.details for one in caplog.records if one.message == "error reported by miner"]
    assert [len(one) for one in shown] == [connection.SHOWN_CHARACTERS]
