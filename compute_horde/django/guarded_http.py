"""uvicorn's HTTP protocol with limits on what a client costs before it is answered.

uvicorn reads headers and bodies of any length for any time. Here, headers are limited in bytes,
number and time, bodies by route before they are read, and connections in number; stalled and idle
ones are closed. A refused client gets a response with the reason.
"""

import asyncio
import enum
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from compute_horde.django.connection_limits import (
    LEAVE_ADDRESS,
    ConnectionLimits,
    ConnectionTable,
    GuardedConnection,
)
from compute_horde.django.forwarded import TrustedProxies
from compute_horde.django.open_transport import OpenTransport

log = logging.getLogger(__name__)

# Requests that a client may send before the first of them is answered.
PIPELINED = 16
FOREVER = float("inf")

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on one request before the application sees it."""

    header_bytes: int = 32 * 1024
    header_fields: int = 128
    header_seconds: float = 10.0
    # After each response, until the next request begins.
    idle_seconds: float = 10.0
    # For a body at first; each received byte extends it by the rate below.
    body_seconds: float = 20.0
    body_bytes_per_second: int = 4096
    # How long a refused client may go on sending, so that it can read the response.
    linger_seconds: float = 3.0


class BodyRule(NamedTuple):
    """The longest body of a request.

    With `is_cut`, a longer one ends there for the application instead of being refused: for
    responses that do not depend on it, such as a missing login.
    """

    max_bytes: int
    advice: str = ""
    is_cut: bool = False


# The rule for a method, the target in the request line, and the headers.
BodyRules = Callable[[bytes, bytes, Headers], BodyRule]


class RefusedError(Exception):
    """Stops the parser after a request was refused."""


class Reading(enum.Enum):
    """The part of a request that the next byte belongs to."""

    HEADERS = enum.auto()
    BODY = enum.auto()


class HttpGuard:
    """The limits of one server; uvicorn calls `protocol` for each connection."""

    def __init__(
        self,
        body_rules: BodyRules,
        *,
        trusted_proxies: Iterable[str] = (),
        connections: ConnectionLimits | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        self.body_rules = body_rules
        self.proxies = TrustedProxies(trusted_proxies)
        self.table = ConnectionTable(connections or ConnectionLimits())
        self.limits = limits or HttpLimits()
        self._ignored_proxy = ""

    def protocol(self, **options: Any) -> "GuardedHttpProtocol":
        """The protocol of a new connection."""
        return GuardedHttpProtocol(self, **options)

    def ignore_forwarded(self, address: str) -> None:
        """Log once that a header of a peer that is not a trusted proxy was ignored."""
        if not self._ignored_proxy:
            self._ignored_proxy = address
            log.warning(
                "X-Forwarded-For ignored: if this is your proxy, name it in TRUSTED_PROXIES",
                extra={"address": address},
            )


class GuardedHttpProtocol(HttpToolsProtocol):
    """One connection, until it becomes a websocket."""

    def __init__(self, guard: HttpGuard, **options: Any) -> None:
        super().__init__(**options)
        self._guard, self._limits = guard, guard.limits
        self._connection: GuardedConnection = None  # type: ignore[assignment]
        self._peer, self._is_proxy = "", False
        self._reading = Reading.HEADERS
        self._deadline = FOREVER
        self._header_bytes = self._field_count = self._field_bytes = 0
        self._content_length, self._is_chunked = 0, False
        self._rule = BodyRule(0)
        self._body_bytes = self._overhead_bytes = 0
        self._is_cut = self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._is_proxy = self._guard.proxies.trusts(self._peer)
        self._connection = GuardedConnection(self._guard.table, transport)
        # Connections of a proxy are counted once their headers name the client.
        if self._guard.table.add(self._connection, "" if self._is_proxy else self._peer):
            self._deadline = self.loop.time() + self._limits.header_seconds
            self._connection.check_protocol = self._check
        else:
            self._is_refused = True
            self._answer(503, "Too many connections", "try again later", retry_seconds=10)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.remove()

    def data_received(self, data: bytes) -> None:
        limit = self._limits.header_bytes
        while data and not self._is_refused:
            if self._reading is Reading.BODY:
                self._overhead_bytes += len(data)
                self._feed(data)
                # Chunk extensions and trailers are not used, but cost time and memory.
                if self._overhead_bytes > limit + len(data):
                    self._refuse(400, "Malformed request", "too much beside the body")
                return
            piece, data = data[: limit - self._header_bytes], data[limit - self._header_bytes :]
            self._header_bytes += len(piece)
            self._feed(piece)
            if self.transport.get_protocol() is not self:
                return
            if self._header_bytes >= limit and self._reading is Reading.HEADERS:
                self._refuse_headers()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Other upgrades are ignored; any client can ask for one.
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        except httptools.HttpParserError:
            # An error of the parser, or of a callback that has refused the request already.
            self._refuse(400, "Malformed request", "this is not HTTP")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if len(self.pipeline) >= PIPELINED:
            raise RefusedError
        self._field_count = self._field_bytes = 0
        self._content_length, self._is_chunked = 0, False
        self._deadline = self.loop.time() + self._limits.header_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        limits = self._limits
        self._field_count += 1
        self._field_bytes += len(name) + len(value)
        if self._field_count > limits.header_fields or self._field_bytes > limits.header_bytes:
            self._refuse_headers()
            raise RefusedError
        if self._reading is Reading.BODY:
            # A trailer, which the application never sees.
            return
        super().on_header(name, value)
        match self.headers[-1][0]:
            case b"content-length":
                # The parser has refused anything but a number.
                self._content_length = int(value[:20])
            case b"transfer-encoding":
                self._is_chunked = True
            case b"x-forwarded-for" if not self._is_proxy:
                self._guard.ignore_forwarded(self._peer)

    def on_headers_complete(self) -> None:
        self._reading = Reading.BODY
        self._body_bytes = self._overhead_bytes = 0
        self._deadline = self.loop.time() + self._limits.body_seconds
        if self._is_proxy:
            self._apply_forwarded()
        has_body = self._content_length > 0 or self._is_chunked
        self._is_cut = has_body and self._body_must_be_cut()
        super().on_headers_complete()
        if self.cycle is not None:  # A websocket has none.
            self.cycle.transport = OpenTransport(self.transport)  # type: ignore[assignment]
            cast("dict[str, Any]", self.scope)[LEAVE_ADDRESS] = self._connection.leave_address
        if self._is_cut:
            self._cut()

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        limits, size = self._limits, len(body)
        more = self._deadline + size / limits.body_bytes_per_second
        self._deadline = min(more, self.loop.time() + limits.body_seconds)
        if self._is_cut or self.cycle.response_complete:
            return
        self._body_bytes += size
        if self._body_bytes > self._rule.max_bytes:
            if not self._rule.is_cut:
                self._refuse_body()
                raise RefusedError
            self._cut()
        elif self._connection.hold(size):
            super().on_body(body)
        else:
            self._refuse(503, "Too busy", "too much is being sent; try again", retry_seconds=2)
            raise RefusedError

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading = Reading.HEADERS
        self._header_bytes = 0
        is_answered = self.cycle is None or self.cycle.response_complete
        self._deadline = self.loop.time() + self._limits.idle_seconds if is_answered else FOREVER

    def on_response_complete(self) -> None:
        self._connection.release()
        if not self._connection.count_for("" if self._is_proxy else self._peer):
            self.transport.close()
        now = self.loop.time()
        if self._reading is Reading.BODY:
            self._deadline = min(self._deadline, now + self._limits.linger_seconds)
        elif self._deadline == FOREVER:
            self._deadline = now + self._limits.idle_seconds
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Continue the connection as a websocket, by a factory: uvicorn only calls it."""
        self._connection.check_protocol = None
        made = cast("Callable[..., asyncio.Protocol]", self.ws_protocol_class)
        made = partial(made, connection=self._connection)
        self.ws_protocol_class = made  # type: ignore[assignment]
        super().handle_websocket_upgrade()

    def _apply_forwarded(self) -> None:
        found = self._guard.proxies.read(self.headers)
        if found.scheme:
            self._connection.scheme = self.scope["scheme"] = found.scheme
        if found.address:
            self._connection.client = self.scope["client"] = found.address, 0
            if not self._connection.count_for(found.address):
                self._refuse(503, "Too many connections", "try again later", retry_seconds=10)
                raise RefusedError

    def _body_must_be_cut(self) -> bool:
        """Whether the announced body must be cut; one that may not be cut is refused at once."""
        method = self.parser.get_method()
        self._rule = self._guard.body_rules(method, self.url, self.headers)
        if self.parser.should_upgrade() and self._should_upgrade():
            self._refuse(400, "Malformed request", "a websocket begins without a body")
            raise RefusedError
        if self._content_length <= self._rule.max_bytes:
            return False
        if not self._rule.is_cut:
            self._refuse_body()
            raise RefusedError
        return True

    def _cut(self) -> None:
        """End the body here for the application."""
        self._is_cut = True
        self.cycle.waiting_for_100_continue = False
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self.flow.resume_reading()

    def _refuse_headers(self) -> None:
        limits = self._limits
        text = f"at most {limits.header_bytes} bytes in {limits.header_fields} fields are accepted"
        self._refuse(431, "Request headers too large", text)

    def _refuse_body(self) -> None:
        text = f"at most {self._rule.max_bytes} bytes are accepted{self._rule.advice}"
        self._refuse(413, "Request too large", text)

    def _refuse(self, status: int, error: str, details: str, *, retry_seconds: int = 0) -> None:
        """Send an error once and read no more; a response that has begun is aborted instead."""
        if self._is_refused:
            return
        self._is_refused = True
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if self.pipeline or (is_answering and cycle.response_started):
            self.transport.abort()
            return
        if is_answering:
            # Tells the application that its response is not needed.
            cycle.disconnected = True
            cycle.message_event.set()
        self._answer(status, error, details, retry_seconds=retry_seconds)
        self._deadline = self.loop.time() + self._limits.linger_seconds
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _answer(self, status: int, error: str, details: str, *, retry_seconds: int) -> None:
        body = json.dumps({"error": error, "details": details}).encode()
        lines = [
            f"HTTP/1.1 {status} {error}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *([f"retry-after: {retry_seconds}"] if retry_seconds else []),
            "connection: close",
        ]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _check(self, now: float) -> None:
        """Close the connection past its deadline; called every second."""
        if self.flow.read_paused and self._deadline != FOREVER:
            # Reading is paused on our side.
            self._deadline = now + self._limits.body_seconds
        elif now > self._deadline:
            self._expire()

    def _expire(self) -> None:
        is_waiting = self._reading is Reading.HEADERS and not self._header_bytes
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self._is_refused or is_waiting or (self._reading is Reading.BODY and is_answered):
            self.transport.close()
        else:
            self._refuse(408, "Request timeout", "the request was not sent in time")
