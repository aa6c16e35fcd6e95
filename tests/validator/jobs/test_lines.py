"""Lines to miners break and are mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection

from compute_horde.adapters.websocket import LineLost
from compute_horde.errors import HordeError
from compute_horde.protocol.capacity import MainHotkey, Manifest
from compute_horde.protocol.handshake import GenericError
from compute_horde.vocabulary import Extension, HordeReason
from tests.validator.peers import VALIDATOR, MinerPeer, result, serving
from validator.jobs import lines
from validator.jobs.lines import Address, Ears, MinerLine
from validator.jobs.switchboard import Switchboard

JOB = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"


def address(miner: MinerPeer) -> Address:
    return Address(miner.hotkey, "127.0.0.1", miner.port)


@asynccontextmanager
async def line_to(miner: MinerPeer, **options) -> AsyncIterator[MinerLine]:
    given = {"absence_seconds": 5.0, "ears": Ears()} | options
    board = Switchboard(VALIDATOR, **given)
    board.serve([address(miner)])
    try:
        yield board.line(miner.hotkey)
    finally:
        await board.close()


async def soon(true) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_line_opens_by_itself_and_tells_the_manifest() -> None:
    miner, told = MinerPeer(manifest={"always_on.test": 7}), []
    ears = Ears(manifest=lambda hotkey, manifest: told.append((hotkey, dict(manifest.manifest))))
    async with serving(miner), line_to(miner, ears=ears) as line:
        assert await line.wait(5)
    assert told == [(miner.hotkey, {"always_on.test": 7})]


async def test_what_a_miner_understands_is_known_while_it_is_connected() -> None:
    miner = MinerPeer()
    miner.extensions = ("cancel", "telepathy")
    async with serving(miner), line_to(miner) as line:
        assert line.extensions == frozenset()
        assert await line.wait(5)
        assert line.extensions == {Extension.CANCEL}
        assert miner.announced == tuple(Extension)
        await miner.connections[0].close()
        await soon(lambda: not line.connected)
        assert line.extensions == frozenset()


async def test_every_job_hears_only_what_is_said_of_it() -> None:
    miner, strays = MinerPeer(), []
    ears = Ears(stray=lambda line, message: strays.append(message))
    async with serving(miner), line_to(miner, ears=ears) as line:
        await line.wait(5)
        with line.inbox(JOB) as listen, line.inbox(OTHER) as other:
            await miner.say(result(OTHER), result(JOB))
            assert (await listen()).job_uuid == JOB
            assert (await other()).job_uuid == OTHER
        await miner.say(result(JOB))
        await soon(lambda: strays == [result(JOB)])


async def test_complaints_and_nonsense_end_nothing() -> None:
    miner = MinerPeer()
    async with serving(miner), line_to(miner) as line:
        await line.wait(5)
        with line.inbox(JOB) as listen:
            await miner.say(GenericError(details="oh no"))
            await miner.connections[0].send("{nonsense")
            await miner.connections[0].send("PING")
            await miner.say(result(JOB))
            assert await listen() == result(JOB)


async def test_nothing_can_be_said_to_a_miner_that_is_away() -> None:
    miner = MinerPeer()
    async with serving(miner), line_to(miner) as line:
        with pytest.raises(LineLost):
            await line.say(MainHotkey())
        assert not await line.wait(0)


class DeafMiner(MinerPeer):
    """Logs us in and takes nothing any more."""

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
    monkeypatch.setattr(lines, "SAY_SECONDS", 0.2)
    miner = DeafMiner()
    async with serving(miner), line_to(miner) as line:
        assert await line.wait(5)
        async with asyncio.timeout(5):
            with pytest.raises(LineLost):
                await line.say(GenericError(details="x" * 2**25))
        await soon(lambda: not line.connected)
        miner.over.set()


async def test_a_lost_line_is_opened_again_with_a_fresh_introduction() -> None:
    miner = MinerPeer()
    async with serving(miner), line_to(miner) as line:
        for login in range(1, 4):
            await miner.until(lambda login=login: miner.logins >= login)
            await soon(lambda: line.connected)
            await miner.connections[0].close()
        await miner.until(lambda: miner.logins == 4)


async def test_a_miner_that_refuses_us_is_not_stormed() -> None:
    miner = MinerPeer()
    miner.accepts_logins = False
    attempts: list[float] = []
    serve = miner.serve

    async def counted(socket) -> None:
        attempts.append(asyncio.get_running_loop().time())
        await serve(socket)

    miner.serve = counted
    async with serving(miner), line_to(miner) as line:
        for _ in range(20):
            line.hurry()
            await asyncio.sleep(0.05)
        assert not line.connected
    assert 2 <= len(attempts) <= 6


async def test_pauses_grow_and_somebody_waiting_cuts_them_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "FIRST_WAIT_SECONDS", 0.1)
    miner = MinerPeer()
    async with serving(miner):
        here = address(miner)
    async with line_to(miner) as line:
        assert line.address == here
        await asyncio.sleep(1.2)
        await miner.start()
        try:
            line.hurry()
            assert await line.wait(0.5)
        finally:
            await miner.stop()


async def test_a_miner_that_stays_away_is_given_up_and_one_that_returns_is_not() -> None:
    miner = MinerPeer()
    async with serving(miner), line_to(miner, absence_seconds=0.6) as line:
        await line.wait(5)
        with line.inbox(JOB) as listen:
            await miner.connections[0].close()
            await miner.until(lambda: miner.logins == 2)
            await asyncio.sleep(0.8)
            await miner.say(result(JOB))
            assert await listen() == result(JOB)
            await miner.stop()
            with pytest.raises(HordeError) as caught:
                await listen()
    assert caught.value.reason is HordeReason.MINER_CONNECTION_FAILED
    assert miner.hotkey in str(caught.value)


async def test_who_listens_to_a_miner_never_seen_is_told_too() -> None:
    miner = MinerPeer()
    miner.port = 1
    async with line_to(miner, absence_seconds=0.1) as line:
        with line.inbox(JOB) as listen, pytest.raises(HordeError):
            await listen()


async def test_presence_is_told_at_both_ends() -> None:
    miner, seen = MinerPeer(), []
    board = Switchboard(
        VALIDATOR,
        absence_seconds=5,
        ears=Ears(presence=lambda hotkey: seen.append(board.reachable(hotkey))),
    )
    async with serving(miner):
        board.serve([address(miner)])
        await soon(lambda: seen == [True])
    await soon(lambda: seen == [True, False])
    await board.close()


async def test_the_switchboard_follows_miners_that_move_and_forgets_those_that_leave() -> None:
    old, new = MinerPeer(), MinerPeer()
    board = Switchboard(VALIDATOR, absence_seconds=5, ears=Ears())
    async with serving(old, new):
        board.serve([address(old)])
        await old.until(lambda: old.logins)
        assert board.serve([address(new)]) == set()
        await new.until(lambda: new.logins)
        await soon(lambda: not old.connections)
        assert board.serve([]) == {new.hotkey}
        assert board.line(new.hotkey) is None
        await soon(lambda: not new.connections)
    await board.close()


async def test_a_line_with_a_job_stays_where_it_is_and_moves_when_it_breaks() -> None:
    old, new = MinerPeer(), MinerPeer()
    board = Switchboard(VALIDATOR, absence_seconds=5, ears=Ears())
    async with serving(old, new):
        board.serve([address(old)])
        line = board.line(old.hotkey)
        await line.wait(5)
        with line.inbox(JOB) as listen:
            board.serve([address(new)])
            await old.say(result(JOB))
            assert await listen() == result(JOB)
            assert new.logins == 0
            await old.connections[0].close()
            await new.until(lambda: new.logins)
            assert board.serve([]) == {new.hotkey}
            assert board.line(new.hotkey) is line
    await board.close()


def test_an_ipv6_address_is_bracketed() -> None:
    assert Address("m", "::1", 8000).url("v") == ("ws://[::1]:8000/v0.1/validator_interface/v")


async def test_a_miner_that_talks_without_end_fills_no_memory() -> None:
    miner = MinerPeer()
    async with serving(miner), line_to(miner) as line:
        await line.wait(5)
        with line.inbox(JOB) as listen, line.inbox(OTHER) as other:
            await miner.say(*[result(JOB)] * (2 * lines.MOST_UNHEARD), result(OTHER))
            assert (await other()).job_uuid == OTHER
            for _ in range(lines.MOST_UNHEARD):
                await listen()
            with pytest.raises(HordeError, match="at once"):
                await listen()
            await miner.say(result(JOB))
            assert (await listen()) == result(JOB)
