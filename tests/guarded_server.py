"""A server behind the guard, and what its clients say over bare sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from compute_horde.django import guarded_websocket
from compute_horde.django.connection_limits import leave_address
from compute_horde.django.guarded_http import BodyRule, Headers, HttpGuard
from compute_horde.django.guarded_websocket import LimitedWebSocketProtocol

BODY_BYTES = 100_000
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def post(length: int, target: bytes = b"/") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    return head % (target, length)


def rule(method: bytes, target: bytes, headers: Headers) -> BodyRule:
    return BodyRule(10, is_cut=True) if target == b"/cut" else BodyRule(BODY_BYTES)


class Application:
    """Answers with who asked and how much was received; holds websockets open."""

    def __init__(self) -> None:
        self.served = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer = b""
        self.headers: Headers = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.served += 1
        if scope["type"] == "websocket":
            await self._converse(scope, receive, send)
            return
        received = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            received += len(event.get("body", b""))
            if not event.get("more_body"):
                break
        if scope["path"] == "/by-name":
            leave_address(scope)
        await self.may_answer.wait()
        self.headers = scope["headers"]
        told = {"received": received, "client": scope["client"][0], "scheme": scope["scheme"]}
        body = self.answer or json.dumps(told).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for first in range(0, len(body), 65536):
            piece, rest = body[first : first + 65536], first + 65536 < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": rest})

    async def _converse(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        _, known, name = f"{scope['path']}/".split("/")[:3]
        is_refused = known == "known" and not guarded_websocket.trust(scope, name)
        who = f"{scope['client'][0]} {scope['scheme']}"
        await send({"type": "websocket.send", "text": "too many" if is_refused else who})
        while (event := await receive())["type"] != "websocket.disconnect":
            if event.get("text") == "log in":
                guarded_websocket.trust(scope)
                await send({"type": "websocket.send", "text": "welcome"})


class Server:
    """A server and the address it listens on."""

    def __init__(self, application: Application, guard: HttpGuard, port: int) -> None:
        self.application, self.guard, self.port = application, guard, port

    async def open(
        self, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send the pieces and return everything received until the server closes."""
        reader, writer = await self.open()
        try:
            return await answered(reader, writer, *pieces)
        finally:
            writer.close()


async def answered(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *pieces: bytes
) -> bytes:
    async with asyncio.timeout(20):
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        received = b""
        try:
            while piece := await reader.read(2**20):
                received += piece
        except OSError:
            pass
        return received


async def one_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, Any]:
    """The status and the JSON of one answer on a connection that stays open."""
    async with asyncio.timeout(20):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))


def status(answer: bytes) -> int:
    return int(answer.split()[1])


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    application = Application()
    guard = HttpGuard(rule, **options)
    listening = socket.create_server(("127.0.0.1", 0))
    # A small buffer, so that who does not read is soon noticed.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    settings = uvicorn.Config(
        application,
        http=guard.protocol,
        ws=LimitedWebSocketProtocol,
        proxy_headers=False,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(settings)
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield Server(application, guard, listening.getsockname()[1])
    finally:
        application.may_answer.set()
        server.should_exit = True
        await running
        assert len(guard.table) == 0
        assert guard.table._held_bytes == 0
        assert not +guard.table._by_share
        assert not guard.table._by_peer
        assert not guard.table._by_address
