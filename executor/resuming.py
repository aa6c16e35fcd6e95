"""One file on its way over several attempts, each going on where the last one stopped."""

import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

import aiohttp

from executor.refusals import PassingError, WebError, refusal, told

CHUNK_BYTES = 2**18
RANGE_REFUSED = 416
PARTIAL = 206
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")

# Told the bytes so far and, when known, of how many; fewer than before when it starts over.
Count = Callable[[int, int | None], None]


def uncounted(done_bytes: int, total_bytes: int | None) -> None:
    """Nobody counts."""


class Download:
    """What has come of a file, and what must still hold for the rest to fit to it."""

    def __init__(
        self,
        url: str,
        target: BinaryIO,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        count: Count = uncounted,
    ) -> None:
        self._url = url
        self._target = target
        self._limit = limit
        self._headers = {"Accept-Encoding": "identity"} | dict(headers or {})
        self._count = count
        self._done = 0
        self._total: int | None = None
        self._version = ""

    async def attempt(self, session: aiohttp.ClientSession) -> None:
        """Fetch what is missing; `PassingError` when another attempt may bring it."""
        headers = dict(self._headers)
        if self._done and self._version:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": self._version}
        with told(self._url):
            async with session.get(self._url, headers=headers) as response:
                self._prepare(response)
                self._check_size(response.content_length or 0)
                async for data in response.content.iter_chunked(CHUNK_BYTES):
                    self._check_size(len(data))
                    self._target.write(data)
                    self._done += len(data)
                    self._count(self._done, self._total)
            self._check_complete()

    def _prepare(self, response: aiohttp.ClientResponse) -> None:
        """Go on after what we have, or start over."""
        if response.status == RANGE_REFUSED and self._done:
            raise self._useless("the server refused to send the rest of the file")
        if not 200 <= response.status < 300:
            raise refusal(response.status)
        if response.status == PARTIAL:
            self._check_range(response.headers)
        else:
            self._start_over()
            self._version = _version(response.headers)
            is_plain = "Content-Encoding" not in response.headers
            self._total = response.content_length if is_plain else None

    def _check_range(self, headers: Mapping[str, str]) -> None:
        """What comes is the rest of what we have; a server may answer so whatever we asked."""
        sent = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if not sent or not self._done or int(sent[1]) != self._done:
            raise self._useless("the server sent another part of the file than asked for")
        total = None if sent[2] == "*" else int(sent[2])
        if self._total is not None and total is not None and total != self._total:
            raise self._useless("the file changed while it was fetched")
        if headers.get("ETag", self._version) != self._version and self._version.startswith('"'):
            raise self._useless("the file changed while it was fetched")
        self._total = total if self._total is None else self._total

    def _check_complete(self) -> None:
        if self._total is None or self._done == self._total:
            return
        sent = f"the server sent {self._done} of {self._total} bytes"
        raise self._useless(sent) if self._done > self._total else PassingError(sent)

    def _useless(self, reason: str) -> PassingError:
        """What we have is of no use; the next attempt starts from nothing."""
        self._start_over()
        return PassingError(reason)

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
