"""uvicorn's websocket protocol with limits on the memory that a peer can make us use."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from compute_horde.django.connection_limits import ConnectionLimits, GuardedConnection

# Bytes that a peer may send before its login: the login and a job offer right after it.
STRANGER_BYTES = ConnectionLimits().stranger_bytes
# Enough for a login. Bytes beyond it are counted like bodies of requests.
LOGIN_BYTES = 16 * 2**10
# Fragments of one message; peers that send messages whole need one.
MAX_PIECES = 4096
TOO_BIG = 1009
NOT_TEXT = 1007
TRY_AGAIN_LATER = 1013
TRUST = "compute_horde.trust"
PING = "compute_horde.ping"
PING_BYTES = 16


class LimitedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Accepts few bytes before a login, and none while the peer does not read our responses.

    The application lifts the limit by calling the function in the scope under `TRUST`, and pings
    the peer by the one under `PING`.
    """

    _is_stranger = True
    _received_bytes = 0

    def __init__(
        self, *args: Any, connection: GuardedConnection | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._connection = connection
        self._stranger_bytes = connection.stranger_bytes if connection else STRANGER_BYTES
        self._pong: asyncio.Future[bool] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._connection:
            self.client = self._connection.client or self.client
            if self._connection.scheme:
                self.scheme = "wss" if self._connection.scheme == "https" else "ws"

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_sign_of_life(is_there=False)
        if self._connection:
            self._connection.remove()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            # Uvicorn knows the keys of ASGI, not ours.
            scope = cast("dict[str, Any]", self.scope)
            scope[TRUST] = self._trust
            scope[PING] = self._is_there

    async def _is_there(self, seconds: float) -> bool:
        if self.close_sent or self.transport.is_closing():
            return False
        # Concurrent callers wait for the same pong.
        if (answer := self._pong) is None:
            answer = self._pong = self.loop.create_future()
            self.conn.send_ping(secrets.token_bytes(PING_BYTES))
            self.transport.write(b"".join(self.conn.data_to_send()))
        unsent = self.transport.get_write_buffer_size()
        await asyncio.wait([answer], timeout=seconds)
        if answer.done():
            return answer.result()
        if self.read_paused or self.transport.get_write_buffer_size() < unsent:
            # The peer or our application is slow: other data must be read first.
            return True
        self.transport.abort()
        return False

    def _on_sign_of_life(self, *, is_there: bool) -> None:
        if self._pong is not None:
            self._pong.set_result(is_there)
            self._pong = None

    def data_received(self, data: bytes) -> None:
        self._on_sign_of_life(is_there=True)
        if self._is_stranger:
            self._received_bytes += len(data)
            if self._received_bytes > self._stranger_bytes:
                self._refuse(f"more than {self._stranger_bytes} bytes before a login")
                return
            kept = min(len(data), self._received_bytes - LOGIN_BYTES)
            if kept > 0 and self._connection and not self._connection.hold(kept):
                self._refuse("too much is sent before logins; log in first", TRY_AGAIN_LATER)
                return
        super().data_received(data)

    def handle_cont(self, event: Any) -> None:
        # Each fragment costs about fifty bytes, even an empty one.
        if len(self.frames) >= MAX_PIECES:
            self._refuse(f"a message in more than {MAX_PIECES} pieces")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            if not _is_text(self.frames[0]):
                self._refuse("a text message that is not UTF-8", NOT_TEXT)
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read: each of its pings would queue a pong."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def _trust(self, peer: str) -> bool:
        if self._connection:
            if not self._connection.trust(peer):
                return False
            self._connection.release()
        self._is_stranger = False
        return True

    def _refuse(self, why: str, code: int = TOO_BIG) -> None:
        self.frames = []
        if not self.handshake_complete or self.conn.state is not State.OPEN:
            self.transport.abort()
        elif not self.close_sent:
            self.conn.fail(code, why)
            self.handle_parser_exception()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def trust(scope: Mapping[str, Any], peer: str = "") -> bool:
    """Mark the peer as logged in under this name; an empty name is one of our own executors.

    False if the peer already has too many connections; the limits then stay in force.
    """
    believe = scope.get(TRUST)
    return not believe or believe(peer)


async def is_there(scope: Mapping[str, Any], seconds: float) -> bool:
    """Whether the peer answers a ping within `seconds`; if not, its connection is aborted."""
    ask: Callable[[float], Awaitable[bool]] | None = scope.get(PING)
    return await ask(seconds) if ask else True
