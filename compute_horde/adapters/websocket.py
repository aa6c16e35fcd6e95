"""The client's end of a websocket that carries messages; the only door to `websockets`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from compute_horde.errors import OutsideError, ProtocolError
from compute_horde.protocol.message import Link, Message

log = logging.getLogger(__name__)

OPEN_SECONDS = 10
PING_SECONDS = 20
PING_TIMEOUT_SECONDS = 120
# A peer that takes nothing holds up pings and goodbyes, too, so only these end such a line.
SAY_SECONDS = 120
CLOSE_SECONDS = 2

Heard = TypeVar("Heard", bound=Message)


class LineLost(OutsideError):
    """The websocket closed or never opened; `code` is the close code: theirs, else ours."""

    def __init__(self, detail: str, code: int | None = None) -> None:
        super().__init__(detail)
        self.code = code


class Line(Generic[Heard]):
    """An open websocket: say messages, hear messages."""

    def __init__(self, socket: ClientConnection, incoming: Link[Heard]) -> None:
        self._socket = socket
        self._incoming = incoming

    async def say(self, message: Message, *, seconds: float = SAY_SECONDS) -> None:
        """Send one message; `LineLost` when the socket is gone or takes nothing for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._socket.send(message.encode())
        except ConnectionClosed as exc:
            raise _lost(exc) from exc
        except TimeoutError as exc:
            self._socket.transport.abort()
            raise LineLost(f"the peer takes nothing for {seconds:g} s") from exc

    async def hear(self) -> Heard:
        """The next message; `ProtocolError` for a bad frame, `LineLost` when the socket is gone.

        The keep-alive text `PING` of old peers is skipped.
        """
        while True:
            try:
                frame = await self._socket.recv(decode=False)
            except ConnectionClosed as exc:
                raise _lost(exc) from exc
            if frame != b"PING":
                return self._incoming.decode(frame)

    async def listen(self) -> AsyncIterator[Heard]:
        """Every message until the line is lost; bad frames are logged and skipped."""
        while True:
            try:
                yield await self.hear()
            except ProtocolError as exc:
                log.warning("bad frame skipped", extra={"problem": str(exc)})

    async def close(self) -> None:
        """Say goodbye; harmless when already closed."""
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await self._socket.close()
        except TimeoutError:
            self._socket.transport.abort()


def _lost(exc: ConnectionClosed) -> LineLost:
    goodbye = exc.rcvd or exc.sent
    code = goodbye.code if goodbye else None
    return LineLost(f"the connection closed ({code or 'no goodbye'})", code)


@asynccontextmanager
async def line_to(
    url: str,
    incoming: Link[Heard],
    *,
    headers: dict[str, str] | None = None,
    open_seconds: float = OPEN_SECONDS,
) -> AsyncIterator[Line[Heard]]:
    """Open a websocket to `url` and close it at the end; `LineLost` when it does not open."""
    options: dict[str, Any] = {"compression": None, "proxy": None}
    try:
        connection = connect(
            url,
            additional_headers=headers,
            max_size=incoming.max_bytes,
            open_timeout=open_seconds,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            **options,
        )
        socket = await connection.__aenter__()
    except (
        OSError,
        TimeoutError,
        InvalidHandshake,
        InvalidURI,
        ValueError,
        asyncio.IncompleteReadError,
    ) as exc:
        raise LineLost(f"could not connect to {url}: {exc or type(exc).__name__}") from exc
    line = Line(socket, incoming)
    try:
        yield line
    finally:
        await line.close()
