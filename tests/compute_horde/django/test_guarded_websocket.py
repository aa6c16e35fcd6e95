"""Limits on websockets before and after a login."""

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

from compute_horde.django import guarded_websocket
from compute_horde.django.guarded_websocket import (
    MAX_PIECES,
    STRANGER_BYTES,
    LimitedWebSocketProtocol,
)

FRAME_BYTES = 4 * STRANGER_BYTES
scopes: list[dict[str, Any]] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Trusts a peer that sends `trust me`; answers each message with its length."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        text = event.get("text") or ""
        if text == "trust me":
            guarded_websocket.trust(scope)
        if text == "remember me":
            scopes.append(scope)
        await send({"type": "websocket.send", "text": str(len(text))})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    options = uvicorn.Config(
        application,
        ws=LimitedWebSocketProtocol,
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
    """The close code and its reason."""
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
        output = 0
        with contextlib.suppress(ConnectionClosed):
            while await asked(peer, "x" * length):
                output += length
        assert output <= STRANGER_BYTES
        assert peer.close_code == guarded_websocket.TOO_BIG
        assert str(STRANGER_BYTES) in (peer.close_reason or "")


async def test_the_trusted_may_say_as_much_as_a_frame_holds(url: str) -> None:
    async with opened(url) as peer:
        await asked(peer, "trust me")
        for _ in range(3):
            assert await asked(peer, "x" * FRAME_BYTES) == str(FRAME_BYTES)
        assert (await refusal(peer, "x" * (FRAME_BYTES + 1)))[0] == guarded_websocket.TOO_BIG


async def test_a_message_in_endless_pieces_is_refused(url: str) -> None:
    async with opened(url) as peer:
        await asked(peer, "trust me")
        # An empty piece ends the message.
        assert await asked(peer, pieces(MAX_PIECES - 1)) == str(MAX_PIECES - 1)
        code, why = await refusal(peer, pieces(MAX_PIECES))
        assert (code, str(MAX_PIECES) in why) == (guarded_websocket.TOO_BIG, True)


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
        # The kernel's buffers fill up, and then nothing more is accepted.
        async with asyncio.timeout(60):
            before = -1
            while not 0 < before == sent:
                before = sent
                await asyncio.sleep(1)
        pinging.cancel()
        # Once the client reads, everything it sent is answered.
        async with asyncio.timeout(10):
            answers = await reader.readexactly(sent // len(pings) * 127 * 1000)
        # Each of them a pong with the same 125 bytes.
        assert answers == (b"\x8a\x7d" + b"x" * 125) * (len(answers) // 127)
    finally:
        pinging.cancel()
        writer.transport.abort()


@pytest.mark.parametrize("times", [1, 2])
async def test_text_that_is_no_unicode_ends_the_line_without_a_traceback(
    url: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(url) as peer:
        await asyncio.gather(
            *(peer.send(b'"\xff"', text=True) for _ in range(times)), return_exceptions=True
        )
        with pytest.raises(ConnectionClosed):
            await peer.recv()
        assert peer.close_code == 1007
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_peer_is_there_while_it_answers_pings_and_is_cut_off_when_it_does_not(url):
    async with opened(url) as peer:
        await asked(peer, "remember me")
        scope = scopes.pop()
        both = await asyncio.gather(
            guarded_websocket.is_there(scope, 10), guarded_websocket.is_there(scope, 10)
        )
        assert both == [True, True]
        assert await guarded_websocket.is_there(scope, 10)
        peer.transport.pause_reading()
        assert not await guarded_websocket.is_there(scope, 0.2)
        assert not await guarded_websocket.is_there(scope, 10)
        peer.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            await peer.recv()


async def test_who_leaves_while_it_is_asked_is_not_there(url):
    async with opened(url) as peer:
        await asked(peer, "remember me")
        peer.transport.pause_reading()
        asking = asyncio.create_task(guarded_websocket.is_there(scopes.pop(), 60))
        await asyncio.sleep(0)
        peer.transport.abort()
        assert not await asking


async def test_without_a_server_that_can_ask_a_peer_is_believed_to_be_there():
    assert await guarded_websocket.is_there({}, 0)
