"""Websocket client for messages of one link; the only module that imports `websockets`."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)

from compute_horde.errors import OutsideError, ProtocolError
from compute_horde.protocol.message import Link, Message

log = logging.getLogger(__name__)

OPEN_SECONDS = 10
# Frames read ahead; each may have the full length.
FRAMES_AHEAD = 1
PING_SECONDS = 20
PING_TIMEOUT_SECONDS = 120
# When a peer stops reading, pings and close frames are stuck too; only these limits help.
SEND_SECONDS = 120
CLOSE_SECONDS = 2

Incoming = TypeVar("Incoming", bound=Message)


class ConnectionLostError(OutsideError):
    """The websocket closed or could not be opened; `code` is the peer's close code, or ours."""

    def __init__(self, detail: str, code: int | None = None) -> None:
        super().__init__(detail)
        self.code = code


class MessageSocket(Generic[Incoming]):
    """An open websocket that sends and receives messages."""

    def __init__(self, socket: ClientConnection, incoming: Link[Incoming]) -> None:
        self._socket = socket
        self._incoming = incoming
        # Length of the message received last.
        self.frame_bytes = 0

    def answer_header(self, name: str) -> str | None:
        """A header of the server's handshake response."""
        response = self._socket.response
        return response.headers.get(name) if response else None

    async def send(self, message: Message, *, seconds: float = SEND_SECONDS) -> None:
        """Send one message.

        Raises `ConnectionLostError` when the socket is closed, or when the peer reads nothing for
        `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._socket.send(message.encode())
        except ConnectionClosed as exc:
            raise _lost(exc) from exc
        except TimeoutError as exc:
            self._socket.transport.abort()
            raise ConnectionLostError(f"the peer takes nothing for {seconds:g} s") from exc

    async def receive(self) -> Incoming:
        """The next message.

        Raises `ProtocolError` for a bad frame and `ConnectionLostError` when closed. The
        keep-alive text `PING` of old peers is skipped.
        """
        while True:
            try:
                frame = await self._socket.recv(decode=False)
            except ConnectionClosed as exc:
                raise _lost(exc) from exc
            except ConcurrencyError as exc:
                raise ConnectionLostError("this side is closing the connection") from exc
            self.frame_bytes = len(frame)
            if frame != b"PING":
                return self._incoming.decode(frame)

    async def listen(self) -> AsyncIterator[Incoming]:
        """All messages until `ConnectionLostError` is raised; bad frames are logged and skipped."""
        while True:
            try:
                yield await self.receive()
            except ProtocolError as exc:
                log.warning("bad frame skipped", extra={"problem": str(exc)})

    async def close(self) -> None:
        """Close the websocket; harmless when already closed."""
        # With frames that nobody reads, the library would not see the peer's answer.
        discarding = asyncio.create_task(self._discard())
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await self._socket.close()
        except BaseException as exc:
            self._socket.transport.abort()
            if not isinstance(exc, TimeoutError):
                raise
        finally:
            discarding.cancel()

    async def _discard(self) -> None:
        """Read and drop frames until the websocket is closed, unless somebody else reads them."""
        with contextlib.suppress(ConnectionClosed, ConcurrencyError):
            while True:
                await self._socket.recv(decode=False)


class _Connect(connect):
    """Opens a connection to the given address and follows no redirect.

    The library follows redirects. A peer's redirect could lead into our own network, past every
    check of its address, or send what is meant for the peer to another server.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Treats every redirect as an error."""
        return exc


def _lost(exc: ConnectionClosed) -> ConnectionLostError:
    close = exc.rcvd or exc.sent
    code = close.code if close else None
    return ConnectionLostError(f"the connection closed ({code or 'no goodbye'})", code)


@contextlib.asynccontextmanager
async def open_socket(
    url: str,
    incoming: Link[Incoming],
    *,
    headers: dict[str, str] | None = None,
    open_seconds: float = OPEN_SECONDS,
) -> AsyncIterator[MessageSocket[Incoming]]:
    """Open a websocket to `url`, and close it at the end; `ConnectionLostError` if it fails."""
    options: dict[str, Any] = {"compression": None, "proxy": None}
    try:
        connection = _Connect(
            url,
            additional_headers=headers,
            max_size=incoming.max_bytes,
            max_queue=FRAMES_AHEAD,
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
        # An executor's path contains its token, and these errors are logged.
        where, reason = without_path(url), _reason(exc).replace(url, without_path(url))
        reason = reason or type(exc).__name__
        raise ConnectionLostError(f"could not connect to {where}: {reason}") from exc
    opened = MessageSocket(socket, incoming)
    try:
        yield opened
    finally:
        await opened.close()


def _reason(exc: Exception) -> str:
    if isinstance(exc, InvalidStatus) and 300 <= exc.response.status_code < 400:
        for target in exc.response.headers.get_all("Location"):
            return f"it redirects to {without_path(target)!r:.200}, which is not followed"
    return str(exc)


def without_path(url: str) -> str:
    """Scheme, host and port of a URL, also of a malformed one: the rest may contain secrets."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
