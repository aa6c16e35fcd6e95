"""The only door to HTTP; refuses addresses that no stranger's URL may reach."""

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from executor.addresses import is_public

log = logging.getLogger(__name__)

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 1.0
CHUNK_BYTES = 2**18
CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
MAX_ANSWER_BYTES = 10 * 2**20
# Answers that may be different next time.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
RANGE_REFUSED = 416
PARTIAL = 206
# Set from the body itself.
OWN_HEADERS = frozenset({"content-length", "transfer-encoding"})
# No other attempt can end otherwise.
USELESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.TooManyRedirects)

Result = TypeVar("Result")


class WebError(Exception):
    """A URL could not be fetched or sent to; the text is fit for the user."""


class PassingError(WebError):
    """One attempt failed; the next may succeed."""


class Answer(NamedTuple):
    """What a server said to an upload."""

    headers: dict[str, str]
    body: str


class Parcel(NamedTuple):
    """What an upload sends: a file as it is, or as the part `file` of a form."""

    opened: Callable[[], BinaryIO]
    name: str
    form: Mapping[str, str] | None = None

    def body(self) -> Any:
        """A fresh body for one attempt; the file is closed with it."""
        if self.form is None:
            return self.opened()
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for key, value in self.form.items():
            form.add_field(key, value)
        form.add_field("file", self.opened(), filename=self.name)
        return form


class Web:
    """Fetches files and sends files."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._made: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._made is not None:
            await self._made.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made late: most jobs need none."""
        if self._made is None:
            guard = None if self._allow_private else _public_socket
            self._made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=guard),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
                ),
                headers={"User-Agent": "ComputeHorde"},
            )
        return self._made

    async def fetch(self, url: str, target: BinaryIO, *, limit: int) -> None:
        """Save what is behind `url`; `WebError` after three attempts, each going on
        where the last one stopped if the server can do that."""
        download = _Download(url, target, limit)
        await self._patiently(lambda: download.attempt(self.session))

    async def send(
        self, method: str, url: str, parcel: Parcel, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Upload `parcel` and return the 2xx answer; redirects are not followed."""
        signed = {k: v for k, v in (headers or {}).items() if k.lower() not in OWN_HEADERS}
        return await self._patiently(lambda: self._sent(method, url, parcel, signed))

    async def _patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        number = 1
        while True:
            try:
                return await attempt()
            except PassingError as exc:
                if number == ATTEMPTS:
                    raise
                log.info("another attempt follows", extra={"problem": str(exc)})
            await asyncio.sleep(FIRST_WAIT_SECONDS * 2 ** (number - 1) * random.uniform(1, 1.1))
            number += 1

    async def _sent(
        self, method: str, url: str, parcel: Parcel, headers: Mapping[str, str]
    ) -> Answer:
        with _told(url):
            request = self.session.request(
                method,
                url,
                data=parcel.body(),
                headers=headers,
                allow_redirects=False,
                # A signature of the old kind would cover a type that we made up.
                skip_auto_headers=() if parcel.form is not None else ("Content-Type",),
            )
            async with request as response:
                if not 200 <= response.status < 300:
                    raise _refusal(response.status)
                return Answer(_plain(response.headers), await _text(response))


class _Download:
    """One file on its way, over several attempts."""

    def __init__(self, url: str, target: BinaryIO, limit: int) -> None:
        self._url = url
        self._target = target
        self._limit = limit
        self._done = 0
        self._resumes_if = ""

    async def attempt(self, session: aiohttp.ClientSession) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._done and self._resumes_if:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": self._resumes_if}
        with _told(self._url):
            async with session.get(self._url, headers=headers) as response:
                self._prepare(response)
                self._check_size(response.content_length or 0)
                async for data in response.content.iter_chunked(CHUNK_BYTES):
                    self._check_size(len(data))
                    self._target.write(data)
                    self._done += len(data)

    def _prepare(self, response: aiohttp.ClientResponse) -> None:
        """Go on after what we have, or start over."""
        if response.status == RANGE_REFUSED and self._done:
            self._start_over()
            raise PassingError("the server refused to send the rest of the file")
        if not 200 <= response.status < 300:
            raise _refusal(response.status)
        if response.status == PARTIAL:
            self._check_range(response.headers.get("Content-Range", ""))
        else:
            self._start_over()
            self._resumes_if = _version(response.headers)

    def _check_range(self, sent: str) -> None:
        if not self._done or not sent.startswith(f"bytes {self._done}-"):
            self._start_over()
            raise PassingError("the server sent another part of the file than asked for")

    def _start_over(self) -> None:
        self._done = 0
        self._target.seek(0)
        self._target.truncate()

    def _check_size(self, more: int) -> None:
        if self._done + more > self._limit:
            raise WebError(f"the file is larger than {self._limit} bytes")


def _version(headers: Mapping[str, str]) -> str:
    """What must still hold for a download to go on where it stopped; nothing if it cannot.

    Offsets into something encoded are not those of what we write.
    """
    etag = headers.get("ETag", "")
    if "Content-Encoding" in headers or headers.get("Accept-Ranges") == "none":
        return ""
    return headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag


def _public_socket(info: Any) -> socket.socket:
    """Called for every address just before connecting, so no redirect or DNS trick gets by."""
    family, kind, protocol, _, address = info
    if not is_public(address[0]):
        raise WebError(f"{address[0]} is not a public address")
    return socket.socket(family=family, type=kind, proto=protocol)


def _refusal(status: int) -> WebError:
    kind = PassingError if status in PASSING else WebError
    return kind(f"the server answered HTTP {status}")


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Every failure as a `WebError` that names the host, not the URL, which may hold secrets."""
    try:
        host = urlsplit(url).hostname or "no host"
    except ValueError as exc:
        raise WebError("not a URL") from exc
    try:
        yield
    except WebError as exc:
        raise type(exc)(f"{host}: {exc}") from exc
    except (*USELESS, ValueError) as exc:
        raise WebError(f"{host}: {type(exc).__name__}") from exc
    except TimeoutError as exc:
        raise PassingError(f"{host}: the server did not answer in time") from exc
    except aiohttp.ClientError as exc:
        raise PassingError(f"{host}: {_reason(exc)}") from exc


def _reason(exc: aiohttp.ClientError) -> str:
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"could not connect ({exc.os_error.strerror or exc.os_error})"
    return f"the connection broke ({type(exc).__name__})"


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _text(response: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for data in response.content.iter_chunked(CHUNK_BYTES):
        body += data
        if len(body) > MAX_ANSWER_BYTES:
            raise WebError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise WebError("the answer is not UTF-8") from exc
