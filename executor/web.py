"""The only door to HTTP; refuses addresses that no stranger's URL may reach."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from executor.addresses import Reach
from executor.headers import BadHeaderError, vetted
from executor.refusals import PassingError, PrivateAddressError, WebError, refusal, told
from executor.resuming import CHUNK_BYTES, Count, Download, uncounted

log = logging.getLogger(__name__)

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 1.0
CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
DNS_SECONDS = 10
MAX_ANSWER_BYTES = 10 * 2**20

Result = TypeVar("Result")


class Answer(NamedTuple):
    """What a server said to an upload."""

    headers: dict[str, str]
    body: str


class Reply(NamedTuple):
    """What a server said to a question, whatever it was."""

    status: int
    headers: dict[str, str]
    body: bytes


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

    def length(self) -> int | None:
        """Of the body; None for a form, of which nobody outside can know it."""
        if self.form is not None:
            return None
        with self.opened() as file:
            return file.seek(0, os.SEEK_END)


class Web:
    """Fetches files and sends files."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
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
            self._made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    socket_factory=self._socket, ttl_dns_cache=DNS_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
                ),
                headers={"User-Agent": "ComputeHorde"},
                # No proxy and no password of the machine's own is for a stranger's URL.
                trust_env=False,
            )
        return self._made

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
        count: Count = uncounted,
    ) -> None:
        """Save what is behind `url`; `WebError` after three attempts, each going on
        where the last one stopped if the server can do that.

        Redirects are followed, but `Authorization` stays with the host it was given for.
        """
        download = Download(url, target, limit=limit, headers=headers, count=count)
        await self._patiently(lambda: download.attempt(self.session))

    async def ask(self, url: str, *, limit: int, headers: Mapping[str, str]) -> Reply:
        """What is at `url`, a redirect or a refusal included; `WebError` for none in three."""
        return await self._patiently(lambda: self._asked(url, limit, headers))

    async def send(
        self, method: str, url: str, parcel: Parcel, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Upload `parcel` and return the 2xx answer; redirects are not followed."""
        with told(url):
            authority = urlsplit(url).netloc.rpartition("@")[2]
            try:
                signed = vetted(headers, authority=authority, length=parcel.length())
            except BadHeaderError as exc:
                raise WebError(str(exc)) from exc
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

    async def _asked(self, url: str, limit: int, headers: Mapping[str, str]) -> Reply:
        with told(url):
            asking = self.session.get(url, headers=headers, allow_redirects=False)
            async with asking as response:
                failed = refusal(response.status)
                if isinstance(failed, PassingError):
                    raise failed
                body = await _read(response, limit)
                return Reply(response.status, _plain(response.headers), body)

    async def _sent(
        self, method: str, url: str, parcel: Parcel, headers: Mapping[str, str]
    ) -> Answer:
        with told(url):
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
                    raise refusal(response.status)
                return Answer(
                    _plain(response.headers), _text(await _read(response, MAX_ANSWER_BYTES))
                )


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for data in response.content.iter_chunked(CHUNK_BYTES):
        body += data
        if len(body) > limit:
            raise WebError(f"the answer is longer than {limit} bytes")
    return bytes(body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise WebError("the answer is not UTF-8") from exc
