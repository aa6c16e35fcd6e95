"""Sends one upload in several attempts, and recognizes one that arrived without its answer."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

import aiohttp
from aiohttp import TraceConfig

from executor.transfer.content_encoding import Decoding
from executor.transfer.exact_urls import exact_url
from executor.transfer.http_errors import RetryableError, WebError, described_errors, refusal
from executor.transfer.http_requests import plain_headers

# The most of an answer that is kept, and the time to wait for its body once its status is known.
MAX_ANSWER_BYTES = 2**20
ANSWER_SECONDS = 10.0
ANSWER_CHUNK_BYTES = 2**16
CONFLICT = 409
PRECONDITION_FAILED = 412
# A gateway's statuses after which the server behind it may have the file or not.
UNKNOWN_OUTCOME = frozenset({408, 500, 502, 504})
ARRIVED_BEFORE = "HTTP 412 to a repeated upload: the first one arrived, and its answer was lost"


class UploadAnswer(NamedTuple):
    """A server's answer to an upload."""

    headers: dict[str, str]
    body: str


class UploadRequest(NamedTuple):
    """The content of an upload: a plain file, or a form with the file in its part `file`."""

    opened: Callable[[], BinaryIO]
    name: str
    form: Mapping[str, str] | None = None

    def body(self) -> Any:
        """The body for one attempt; the file is closed with it."""
        if self.form is None:
            return self.opened()
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for key, value in self.form.items():
            form.add_field(key, value)
        form.add_field("file", self.opened(), filename=self.name)
        return form

    def length(self) -> int | None:
        """The bytes of the body; None for a form, whose length is not known in advance."""
        if self.form is not None:
            return None
        with self.opened() as file:
            return file.seek(0, os.SEEK_END)


class _Sent:
    """Counts what one attempt has sent; `aiohttp` may send it twice after a lost connection."""

    def __init__(self, length: int | None) -> None:
        self._length = length
        self._body_bytes = 0
        self._has_begun = False
        # Whether a request before the last one was sent to its end, so that it may have arrived.
        self.was_whole_before = False

    @property
    def is_whole(self) -> bool:
        """Whether the last request was sent completely; never known for a form."""
        return self._has_begun and self._length is not None and self._body_bytes >= self._length

    def begin(self) -> None:
        """Another request begins."""
        self.was_whole_before |= self.is_whole
        self._has_begun = True
        self._body_bytes = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes of the body."""
        self._body_bytes += size


def tracing() -> TraceConfig:
    """The trace configuration by which a session reports to `UploadAttempts` what was sent."""
    config = TraceConfig()

    async def headers_sent(_: Any, context: Any, __: Any) -> None:
        if isinstance(context.trace_request_ctx, _Sent):
            context.trace_request_ctx.begin()

    async def chunk_sent(_: Any, context: Any, params: Any) -> None:
        if isinstance(context.trace_request_ctx, _Sent):
            context.trace_request_ctx.add(len(params.chunk))

    config.on_request_headers_sent.append(headers_sent)
    config.on_request_chunk_sent.append(chunk_sent)
    return config


class UploadAttempts:
    """One upload over several attempts; redirects are not followed."""

    def __init__(
        self, method: str, url: str, upload: UploadRequest, headers: Mapping[str, str]
    ) -> None:
        self._method = method
        self._url = url
        self._upload = upload
        self._headers = headers
        self._length = upload.length()
        # The server may have stored the file in an attempt that failed here.
        self._may_have_arrived = False

    async def attempt(
        self, session: aiohttp.ClientSession, seconds_left: Callable[[], float]
    ) -> UploadAnswer:
        """Send it and return the 2xx answer.

        Raises `RetryableError` when another attempt may succeed, else `WebError`.
        """
        sent = _Sent(self._length)
        with described_errors(self._url):
            try:
                return await self._attempt(session, sent, seconds_left)
            except (aiohttp.ClientError, TimeoutError, OSError):
                self._may_have_arrived |= sent.was_whole_before or sent.is_whole
                raise

    async def _attempt(
        self, session: aiohttp.ClientSession, sent: _Sent, seconds_left: Callable[[], float]
    ) -> UploadAnswer:
        request = session.request(
            self._method,
            exact_url(self._url),
            data=self._upload.body(),
            headers=self._headers,
            allow_redirects=False,
            # Old kinds of signatures cover the content type, so none may be added.
            skip_auto_headers=() if self._upload.form is not None else ("Content-Type",),
            trace_request_ctx=sent,
        )
        async with request as response:
            if 200 <= response.status < 300:
                wait = min(ANSWER_SECONDS, max(seconds_left() / 2, 0.0))
                return UploadAnswer(plain_headers(response.headers), await _text(response, wait))
            self._may_have_arrived |= sent.was_whole_before
            if self._may_have_arrived and response.status == PRECONDITION_FAILED:
                return UploadAnswer(plain_headers(response.headers), ARRIVED_BEFORE)
            error = refusal(response.status, response.headers)
            if self._may_have_arrived and response.status == CONFLICT:
                # The first attempt is still being stored.
                raise RetryableError(str(error), response.status)
            self._may_have_arrived |= response.status in UNKNOWN_OUTCOME and sent.is_whole
            raise error


async def _text(response: aiohttp.ClientResponse, seconds: float) -> str:
    """The beginning of an answer's body, as far as it arrives in time."""
    body = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, OSError, WebError):
        decoding = Decoding(response.headers.get("Content-Encoding"))
        async with asyncio.timeout(seconds):
            async for data in response.content.iter_chunked(ANSWER_CHUNK_BYTES):
                for piece in decoding.feed(data):
                    body += piece
                    if len(body) >= MAX_ANSWER_BYTES:
                        return body[:MAX_ANSWER_BYTES].decode(errors="replace")
    return body.decode(errors="replace")
