"""A peer that others connect to by websocket, and what it received."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from compute_horde.protocol.message import Message

WITHIN_SECONDS = 30
# Turns of the event loop from the arrival of a connection until it is a server's.
ACCEPTING_TURNS = 3


class WebSocketPeer:
    """A websocket server; the messages it gets are kept in `received`.

    A role has its own `serve`, which tells `_logged_in` and `_note` what happens.
    """

    max_frame_bytes: int | None = None

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.connections: list[ServerConnection] = []
        self.logins = 0
        self._news = asyncio.Condition()
        self._server: Server | None = None
        # All that were accepted, those of requests that are no handshake and unfinished ones too.
        self._accepted: WeakSet[ServerConnection] = WeakSet()
        self.port = 0

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            compression=None,
            max_size=self.max_frame_bytes,
            create_connection=self._new_connection,
            process_request=self._answer_request,
            process_response=self._answer_opening,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def _answer_request(self, connection: Any, request: Any) -> Any:
        """Overridden to answer requests that are no handshake, such as those for pages."""

    def _answer_opening(self, connection: Any, request: Any, response: Any) -> None:
        """Overridden to add headers to the answer of the handshake."""

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
            # What was being accepted meanwhile is accepted now, and would be nobody's.
            for _ in range(ACCEPTING_TURNS):
                await asyncio.sleep(0)
            for connection in self._accepted:
                if transport := getattr(connection, "transport", None):
                    transport.abort()
            await asyncio.sleep(0)

    def _new_connection(self, *given: Any, **options: Any) -> ServerConnection:
        connection = ServerConnection(*given, **options)
        self._accepted.add(connection)
        return connection

    async def send(self, *messages: Message) -> None:
        for message in messages:
            await self.connections[-1].send(message.encode())

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait until `true()` is true after a message or login; return its value."""
        async with asyncio.timeout(WITHIN_SECONDS), self._news:
            while not (value := true()):
                await self._news.wait()
        return value

    async def receives(self, kind: type, number: int = 1) -> Any:
        """Wait for the nth message of a class."""
        await self.until(lambda: len(self.all(kind)) >= number)
        return self.all(kind)[number - 1]

    def all(self, kind: type) -> list[Any]:
        return [message for message in self.received if isinstance(message, kind)]

    async def _note(self, message: Message) -> None:
        async with self._news:
            self.received.append(message)
            self._news.notify_all()

    async def _logged_in(self) -> None:
        async with self._news:
            self.logins += 1
            self._news.notify_all()

    async def _serve(self, socket: ServerConnection) -> None:
        self.connections.append(socket)
        try:
            await self.serve(socket)
        except ConnectionClosed:
            return
        finally:
            self.connections.remove(socket)

    async def serve(self, socket: ServerConnection) -> None:
        raise NotImplementedError


AnyPeer = TypeVar("AnyPeer", bound=WebSocketPeer)


@asynccontextmanager
async def serving(first: AnyPeer, *others: WebSocketPeer) -> AsyncIterator[AnyPeer]:
    """Run these peers, each on a free port; yields the first one."""
    peers: list[WebSocketPeer] = [first, *others]
    for peer in peers:
        await peer.start()
    try:
        yield first
    finally:
        for peer in peers:
            await peer.stop()
