"""Manifests are requested of many miners at once; whoever is late is left out."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest
from bittensor_core import Keypair
from websockets.asyncio.server import ServerConnection
from websockets.utils import accept_key

from compute_horde.adapters import websocket
from compute_horde.protocol.capacity import MainHotkey, Manifest
from tests.peers.keys import VALIDATOR
from tests.peers.miner import MinerPeer
from tests.peers.websocket_server import WebSocketPeer, serving
from tests.validator.conftest import address
from validator.miners import manifest_poll
from validator.miners.connection import Address
from validator.miners.manifest_poll import poll


def miner(name: str, **manifest: int) -> MinerPeer:
    offered = {kind.replace("__", "."): count for kind, count in manifest.items()}
    return MinerPeer(manifest=offered, keypair=Keypair.create_from_uri(f"//{name}"))


async def test_who_answers_is_listed_with_what_it_offers(monkeypatch) -> None:
    # Fewer at once than there are miners.
    monkeypatch.setattr(manifest_poll, "MAX_CONCURRENT", 2)
    miners = [miner(f"m{number}", always_on__test=number) for number in range(5)]
    async with serving(*miners):
        found = await poll(map(address, miners), VALIDATOR, 5)
        assert [len(one.connections) for one in miners] == [0] * 5
    assert {hotkey: dict(one.manifest) for hotkey, one in found.items()} == {
        one.hotkey: {"always_on.test": number} for number, one in enumerate(miners)
    }


async def test_a_miner_that_is_away_or_silent_is_left_out_and_logged(caplog) -> None:
    caplog.set_level("INFO")
    here, silent = miner("here", always_on__test=1), miner("silent")
    silent.accepts_logins = False
    async with serving(here, silent):
        away = Address("away", "127.0.0.1", 1)
        found = await poll([away, address(silent), address(here)], VALIDATOR, 0.5)
    assert list(found) == [here.hotkey]
    left = {one.miner for one in caplog.records if one.message == "no manifest"}
    assert "away" in left


async def test_whoever_does_not_name_a_main_hotkey_is_heard_without(monkeypatch) -> None:
    monkeypatch.setattr(manifest_poll, "MAIN_HOTKEY_SECONDS", 0.1)
    names, mute, unasked = miner("names"), miner("mute"), miner("unasked")
    names.script = unasked.script = lambda one, _: [MainHotkey(main_hotkey="of " + one.hotkey)]
    async with serving(names, mute, unasked):
        asked = [names.hotkey, mute.hotkey]
        found = await poll(map(address, (names, mute, unasked)), VALIDATOR, 5, asked)
    expected = {names.hotkey: "of " + names.hotkey, mute.hotkey: None, unasked.hotkey: None}
    assert {hotkey: one.main_hotkey for hotkey, one in found.items()} == expected


async def test_nobody_is_asked_when_there_is_nobody() -> None:
    assert await poll([], VALIDATOR, 1) == {}


class RawMiner(WebSocketPeer):
    """A miner that sends these frames after the login, and counts how many it could send."""

    def __init__(self, name: str, frames: Iterable[str | bytes], manifest: str = "") -> None:
        super().__init__()
        self.hotkey = name
        self._frames = frames
        self._manifest = manifest
        self.sent = 0

    async def serve(self, socket: ServerConnection) -> None:
        await socket.recv()
        for frame in self._frames:
            await socket.send(frame)
            self.sent += 1
            # Both ends share a loop, and sending alone lets nobody else run.
            await asyncio.sleep(0)
        if self._manifest:
            await socket.send(self._manifest)
        await socket.wait_closed()


GOOD = Manifest(manifest={"always_on.test": 3}).encode()
assert len(GOOD) < 126, "a length of one byte in a frame"


async def test_junk_before_the_manifest_is_skipped_up_to_a_number() -> None:
    polite = RawMiner("polite", ["junk", b"\xff"], GOOD)
    chatty = RawMiner("chatty", ["junk"] * manifest_poll.MAX_FRAMES, GOOD)
    async with serving(polite, chatty):
        found = await poll([address(one) for one in (polite, chatty)], VALIDATOR, 20)
    assert list(found) == ["polite"]


async def test_a_flood_of_junk_ends_the_connection_long_before_the_time_limit() -> None:
    flooding = RawMiner("flooding", itertools.repeat("junk"))
    async with serving(flooding), asyncio.timeout(30):
        assert await poll([address(flooding)], VALIDATOR, 600) == {}
    assert flooding.sent > manifest_poll.MAX_FRAMES / 2


async def test_a_frame_longer_than_any_manifest_is_not_read() -> None:
    big = Manifest(manifest={}, extensions=()).encode()
    padded = big[:-1] + ', "more": "' + "x" * manifest_poll.MAX_FRAME_BYTES + '"}'
    long, just_fits = RawMiner("long", [padded], GOOD), RawMiner("fits", [big], GOOD)
    async with serving(long, just_fits), asyncio.timeout(30):
        found = await poll([address(long), address(just_fits)], VALIDATOR, 600)
    assert list(found) == ["fits"]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_miner_that_never_closes_its_connection_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    # An orderly close would wait for as long as this.
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 600)
    released = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handshake(reader, writer)
        if answers:
            writer.write(bytes([0x81, len(GOOD)]) + GOOD.encode())
        await released.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    stuck = Address("stuck", "127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        async with asyncio.timeout(60):
            found = await poll([stuck], VALIDATOR, 30 if answers else 1)
    finally:
        released.set()
        server.close()
    assert list(found) == ["stuck"] * answers


async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a websocket, and answer nothing after."""
    request = await reader.readuntil(b"\r\n\r\n")
    name = b"Sec-WebSocket-Key: "
    lines = request.split(b"\r\n")
    key = next(line[len(name) :] for line in lines if line.startswith(name))
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n"
    )
