"""Fetches receipt pages of one miner over HTTP/1.1, with bounds of bytes and time.

A miner is not trusted: of a response, at most `MAX_HEAD_BYTES` of headers, `MAX_FETCH_BYTES` of the
decompressed page and `MAX_RESPONSE_BYTES` in all are read, within one deadline. Redirects are not
followed.
"""

import asyncio
import zlib
from contextlib import suppress

import httptools

from validator.receipts.pages import (
    MAX_FETCH_BYTES,
    PagePart,
    TransferError,
    TransferProblem,
    parse_content_range,
)

MAX_HEAD_BYTES = 16 * 1024
# Of one response, in all: chunks and trailers count too.
MAX_RESPONSE_BYTES = 2 * MAX_FETCH_BYTES
READ_BYTES = 64 * 1024
# zlib's number for a gzip header with the largest window.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
NOTHING_NEW = (404, 416)
REDIRECTS = range(300, 400)


def address_of(host: str, port: int) -> str:
    """An address as URLs write it: an IPv6 address is in brackets."""
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}"


class PageClient:
    """A connection to one miner, kept open between requests; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.address = address_of(host, port)
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def fetch(self, page: int, offset: int, timeout_seconds: float) -> PagePart:
        """The page from byte `offset` on, as far as the bounds allow; empty when nothing is new.

        What was received before the deadline is returned. Raises `TransferError`.
        """
        response = _Response(offset)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._exchange(self._request(page, offset), response)
        except TimeoutError:
            response.timed_out = True
            if not response.has_body:
                raise TransferError(TransferProblem.TIMED_OUT) from None
        finally:
            if not response.may_reuse:
                self.close()
        return response.part()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._stream:
            # Nothing is left to send, so that the rest of a response need not be awaited.
            self._stream[1].transport.abort()
            self._stream = None

    def _request(self, page: int, offset: int) -> bytes:
        wanted = (
            f"Accept-Encoding:\r\nRange: bytes={offset}-" if offset else "Accept-Encoding: gzip"
        )
        head = f"GET /receipts/{page}.jsonl HTTP/1.1\r\nHost: {self.address}\r\n{wanted}\r\n\r\n"
        return head.encode()

    async def _exchange(self, request: bytes, response: "_Response") -> None:
        """Send a request and read its response.

        A server may close an idle connection at any time, so that a request on one that was kept
        is sent again on a new one when there is no response.
        """
        if self._stream:
            with suppress(OSError):
                await self._send_and_read(request, response)
            if response.has_begun:
                return
            self.close()
        try:
            self._stream = await asyncio.open_connection(self._host, self._port, limit=READ_BYTES)
        except OSError as exc:
            raise TransferError(TransferProblem.CONNECT_FAILED, str(exc)) from exc
        try:
            await self._send_and_read(request, response)
        except OSError as exc:
            if not response.has_body:
                raise TransferError(TransferProblem.CONNECTION_LOST, str(exc)) from exc
        if not response.has_begun:
            raise TransferError(TransferProblem.CONNECTION_LOST)

    async def _send_and_read(self, request: bytes, response: "_Response") -> None:
        assert self._stream is not None  # noqa: S101
        reader, writer = self._stream
        writer.write(request)
        await writer.drain()
        while not response.is_over:
            received = await reader.read(READ_BYTES)
            if not received:
                break
            response.feed(received)


class _Response:
    """Parses a response; `httptools` calls the methods `on_…`."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._received = 0
        self._body = bytearray()
        self._gzip: zlib._Decompress | None = None
        self._status = 0
        self._length: int | None = None
        self._is_full = False
        self._is_complete = False
        self.has_begun = False
        self.timed_out = False
        # Whether the connection can be used for another request.
        self.may_reuse = False

    @property
    def has_body(self) -> bool:
        """Whether the head was accepted and a part of the body is there."""
        return bool(self._body)

    @property
    def is_over(self) -> bool:
        """Whether no more is to be read: the response is complete, or what is wanted of it."""
        return self._is_complete or self._is_full or self._received > MAX_RESPONSE_BYTES

    def feed(self, received: bytes) -> None:
        """Parse the next bytes. Raises `TransferError`."""
        self.has_begun = True
        self._received += len(received)
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserCallbackError as exc:
            if isinstance(exc.__context__, TransferError):
                raise exc.__context__ from None
            raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            # `HttpParserUpgrade`: the miner changes to a protocol that nobody asked for.
            raise TransferError(TransferProblem.MALFORMED_RESPONSE, repr(exc)) from exc
        if not self._status and self._received > MAX_HEAD_BYTES:
            raise TransferError(TransferProblem.MALFORMED_RESPONSE, "the headers are too long")

    def part(self) -> PagePart:
        """The part of the page that was received."""
        if self._status in NOTHING_NEW:
            return PagePart(self._offset, length=self._length)
        is_complete = self._is_complete and not self._is_full
        return PagePart(self._offset, bytes(self._body), is_complete, self._length, self.timed_out)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Remember a header that matters."""
        name = name.lower()
        if name in (b"content-range", b"content-encoding"):
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head of the response."""
        self._status = int(self._parser.get_status_code())
        if self._status < 200:
            # An interim response; the one that counts comes next.
            self._status = 0
            return
        found = self._headers.get(b"content-range", b"").decode("ascii", "replace")
        content_range = parse_content_range(found)
        self._length = content_range.length if content_range else None
        if self._status in NOTHING_NEW:
            return
        if self._status in REDIRECTS:
            raise TransferError(TransferProblem.REDIRECTED)
        encoding = self._headers.get(b"content-encoding", b"identity").strip().lower()
        if self._offset:
            self._check_range(content_range.start if content_range else None)
        elif self._status != 200:
            raise TransferError(TransferProblem.UNEXPECTED_STATUS, str(self._status))
        elif encoding in (b"gzip", b"x-gzip"):
            self._gzip = zlib.decompressobj(GZIP_WINDOW)
            return
        if encoding != b"identity":
            raise TransferError(TransferProblem.WRONG_ENCODING)

    def _check_range(self, start: int | None) -> None:
        if self._status == 200:
            raise TransferError(TransferProblem.RANGE_IGNORED)
        if self._status != 206:
            raise TransferError(TransferProblem.UNEXPECTED_STATUS, str(self._status))
        if start != self._offset:
            raise TransferError(TransferProblem.WRONG_RANGE)

    def on_body(self, piece: bytes) -> None:
        """Append a piece of the body, decompressed, up to the bound."""
        if self._status in NOTHING_NEW or self._is_full:
            return
        room = MAX_FETCH_BYTES - len(self._body)
        if self._gzip:
            try:
                # One more byte tells whether there is more; 0 would be no bound.
                piece = self._gzip.decompress(piece, room + 1)
            except zlib.error as exc:
                raise TransferError(TransferProblem.WRONG_ENCODING, str(exc)) from exc
        self._body += piece[:room]
        self._is_full = len(piece) > room

    def on_message_complete(self) -> None:
        """The response has ended."""
        if self._status:
            self._is_complete = True
            self.may_reuse = bool(self._parser.should_keep_alive())
