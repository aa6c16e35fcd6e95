"""The HTTP client for URLs of jobs; refuses addresses that such URLs may not reach."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp

from compute_horde.addresses import Reach
from executor.transfer.content_encoding import Decoding
from executor.transfer.exact_urls import exact_url
from executor.transfer.http_errors import (
    PrivateAddressError,
    RetryableError,
    WebError,
    described_errors,
    refusal,
)
from executor.transfer.http_requests import plain_headers
from executor.transfer.resumable_download import DOWNLOAD_CHUNK_BYTES, Count, Download, ignore_count
from executor.transfer.retries import with_retries
from executor.transfer.upload_attempts import UploadAnswer, UploadAttempts, UploadRequest, tracing
from executor.transfer.upload_headers import BadHeaderError, checked_headers

CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
DNS_SECONDS = 10


class Reply(NamedTuple):
    """A server's answer to a GET, with any status."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpClient:
    """Downloads and uploads files, with retries while there are `seconds_left`."""

    def __init__(
        self, reach: Reach, seconds_left: Callable[[], float], *, keeps_connections: bool = True
    ) -> None:
        self._reach = reach
        self.seconds_left = seconds_left
        self._keeps_connections = keeps_connections
        self._made: aiohttp.ClientSession | None = None
        self._situations: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._made is not None:
            await self._made.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, created on first use: most jobs need none."""
        if self._made is None:
            self._made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    socket_factory=self._socket,
                    ttl_dns_cache=DNS_SECONDS,
                    force_close=not self._keeps_connections,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
                ),
                headers={"User-Agent": "ComputeHorde"},
                # A job's URL gets neither the machine's proxy nor its passwords.
                trust_env=False,
                # `content_encoding` decodes instead: it knows more encodings and detects
                # truncated content.
                auto_decompress=False,
                trace_configs=[tracing()],
            )
        return self._made

    def situation(self, url: str | None = None) -> str:
        """The host and the last problem of the request for `url`, or of the last one that began.

        For an error text when time runs out; empty when there was no request.
        """
        if url is not None:
            return self._situations.get(url, "")
        return next(reversed(self._situations.values()), "")

    def _begin(self, url: str) -> Callable[[RetryableError], None]:
        """Record that a request begins; returns the callback for its problems."""
        self._situations.pop(url, None)
        with suppress(ValueError):
            self._situations[url] = f"{urlsplit(url).hostname}: it had not answered in full"

        def on_problem(problem: RetryableError) -> None:
            self._situations[url] = f"{problem}; another attempt was not through yet"

        return on_problem

    def _socket(self, info: Any) -> socket.socket:
        """Called for every address just before connecting, so no redirect or DNS trick gets by."""
        family, kind, protocol, _, address = info
        if not self._reach.allows(address[0]):
            raise PrivateAddressError(address[0])
        return socket.socket(family=family, type=kind, proto=protocol)

    async def fetch(
        self,
        url: str,
        target: BinaryIO,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        count: Count = ignore_count,
    ) -> None:
        """Download `url` into `target`; raises `WebError` when that fails or time runs out.

        Each attempt resumes where the last one stopped if the server supports that. Redirects are
        followed, but `Authorization` is sent to the first host only.
        """
        download = Download(url, target, limit=limit, headers=headers, count=count)
        await with_retries(
            lambda: download.attempt(self.session),
            self.seconds_left,
            download.has_progressed,
            self._begin(url),
        )
        self._situations.pop(url, None)

    async def ask(self, url: str, *, limit: int, headers: Mapping[str, str]) -> Reply:
        """The answer to a GET, with any final status; raises `WebError` without one in time."""
        reply = await with_retries(
            lambda: self._asked(url, limit, headers),
            self.seconds_left,
            on_problem=self._begin(url),
        )
        self._situations.pop(url, None)
        return reply

    async def send(
        self,
        method: str,
        url: str,
        upload: UploadRequest,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> UploadAnswer:
        """Send `upload` and return the 2xx answer; raises `WebError` otherwise.

        Redirects are not followed.
        """
        with described_errors(url):
            authority = urlsplit(url).netloc.rpartition("@")[2]
            try:
                signed = checked_headers(headers, authority=authority, length=upload.length())
            except BadHeaderError as exc:
                raise WebError(str(exc)) from exc
        attempts = UploadAttempts(method, url, upload, signed)
        answer = await with_retries(
            lambda: attempts.attempt(self.session, self.seconds_left),
            self.seconds_left,
            on_problem=self._begin(url),
        )
        self._situations.pop(url, None)
        return answer

    async def _asked(self, url: str, limit: int, headers: Mapping[str, str]) -> Reply:
        with described_errors(url):
            asking = self.session.get(exact_url(url), headers=headers, allow_redirects=False)
            async with asking as response:
                failed = refusal(response.status, response.headers)
                if isinstance(failed, RetryableError):
                    raise failed
                body = await _read(response, limit)
                return Reply(response.status, plain_headers(response.headers), body)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    decoding = Decoding(response.headers.get("Content-Encoding"))
    async for data in response.content.iter_chunked(DOWNLOAD_CHUNK_BYTES):
        for piece in decoding.feed(data):
            body += piece
            if len(body) > limit:
                raise WebError(f"the answer is longer than {limit} bytes")
    decoding.finish()
    return bytes(body)
