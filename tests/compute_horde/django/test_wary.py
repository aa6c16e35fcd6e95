"""Strangers are heard for a while only; whoever is trusted may say more, in few pieces."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from compute_horde.django import wary
from compute_horde.django.wary import MAX_PIECES, STRANGER_BYTES, WaryProtocol

FRAME_BYTES = 4 * STRANGER_BYTES


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Trusts whoever says `trust me`; answers each message with its length."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        text = event.get("text") or ""
        if text == "trust me":
            wary.trust(scope)
        await send({"type": "websocket.send", "text": str(len(text))})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    options = uvicorn.Config(
        application,
        ws=WaryProtocol,
        ws_max_size=FRAME_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(options)
    serving = asyncio.create_task(server.serve([listening]))
    yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


def opened(url: str) -> connect:
    return connect(url, compression=None, proxy=None)


async def asked(peer: ClientConnection, text: Any) -> str:
    await peer.send(text)
    async with asyncio.timeout(10):
        return str(await peer.recv())


async def refusal(peer: ClientConnection, text: Any) -> tuple[int, str]:
    """The close code and what is said with it."""
    with pytest.raises(ConnectionClosed):
        await asked(peer, text)
    return peer.close_code or 0, peer.close_reason or ""


def pieces(count: int) -> Iterator[str]:
    yield from "x" * count


async def test_a_stranger_that_says_little_is_heard(url: str) -> None:
    async with opened(url) as peer:
        assert await asked(peer, "hi") == "2"
        assert await asked(peer, pieces(100)) == "100"


@pytest.mark.parametrize("length", [STRANGER_BYTES // 20, STRANGER_BYTES + 1])
async def test_a_stranger_is_cut_off_however_it_spreads_its_words(url: str, length: int) -> None:
    async with opened(url) as peer:
        said = 0
        with contextlib.suppress(ConnectionClosed):
            while await asked(peer, "x" * length):
                said += length
        assert said <= STRANGER_BYTES
        assert peer.close_code == wary.TOO_BIG
        assert str(STRANGER_BYTES) in (peer.close_reason or "")


async def test_the_trusted_may_say_as_much_as_a_frame_holds(url: str) -> None:
    async with opened(url) as peer:
        await asked(peer, "trust me")
        for _ in range(3):
            assert await asked(peer, "x" * FRAME_BYTES) == str(FRAME_BYTES)
        assert (await refusal(peer, "x" * (FRAME_BYTES + 1)))[0] == wary.TOO_BIG


async def test_a_message_in_endless_pieces_is_refused(url: str) -> None:
    async with opened(url) as peer:
        await asked(peer, "trust me")
        # An empty piece ends the message.
        assert await asked(peer, pieces(MAX_PIECES - 1)) == str(MAX_PIECES - 1)
        code, why = await refusal(peer, pieces(MAX_PIECES))
        assert (code, str(MAX_PIECES) in why) == (wary.TOO_BIG, True)


async def test_who_does_not_read_is_not_heard(url: str) -> None:
    host, port = url.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(Frame(Opcode.TEXT, b"trust me").serialize(mask=True))
    await reader.read(100)
    pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 1000
    sent = 0

    async def ping() -> None:
        nonlocal sent
        while True:
            writer.write(pings)
            await writer.drain()
            await asyncio.sleep(0)
            sent += len(pings)

    pinging = asyncio.create_task(ping())
    try:
        # What the kernel holds on the way fills up, and then nothing more is taken.
        async with asyncio.timeout(60):
            before = -1
            while not 0 < before == sent:
                before = sent
                await asyncio.sleep(1)
        pinging.cancel()
        # As soon as somebody reads, all that was said is answered.
        async with asyncio.timeout(10):
            await reader.readexactly(sent // len(pings) * 127 * 1000)
    finally:
        pinging.cancel()
        writer.transport.abort()
