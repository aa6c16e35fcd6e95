"""Downloads one file in several attempts, each resuming where the last one stopped."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

import aiohttp

from executor.transfer.content_encoding import Decoding
from executor.transfer.content_encoding import encoding_names as encodings
from executor.transfer.http_errors import RetryableError, WebError
from executor.transfer.http_requests import HttpResponse, open_response

DOWNLOAD_CHUNK_BYTES = 2**18
RANGE_REFUSED = 416
PARTIAL = 206
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")

# Called with the bytes so far and, if known, in total; fewer than before after a restart.
Count = Callable[[int, int | None], None]


def ignore_count(done_bytes: int, total_bytes: int | None) -> None:
    """A callback that does nothing."""


class Download:
    """The state of one download: the bytes so far, and the version of the file they belong to."""

    def __init__(
        self,
        url: str,
        target: BinaryIO,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        count: Count = ignore_count,
    ) -> None:
        self._url = url
        self._target = target
        self._limit = limit
        self._headers = {"Accept-Encoding": "identity"} | dict(headers or {})
        self._count = count
        self._done = 0
        self._began = 0
        self._total: int | None = None
        self._version = ""

    async def attempt(self, session: aiohttp.ClientSession) -> None:
        """Fetch the missing bytes; raises `RetryableError` when another attempt may succeed."""
        headers = dict(self._headers)
        if self._done and self._version:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": self._version}
        self._began = self._done
        async with open_response(session, self._url, headers) as response:
            decoding = self._prepare(response)
            answer = response.answer
            self._check_size(answer.content_length or 0)
            async for data in answer.content.iter_chunked(DOWNLOAD_CHUNK_BYTES):
                for piece in decoding.feed(data):
                    self._take(piece)
                    # A small encoded piece may decode to many: let other tasks run.
                    await asyncio.sleep(0)
            decoding.finish()
            self._check_complete()

    def has_progressed(self) -> bool:
        """Whether the last attempt added at least `DOWNLOAD_CHUNK_BYTES`."""
        return self._done - self._began >= DOWNLOAD_CHUNK_BYTES

    def _take(self, data: bytes) -> None:
        self._check_size(len(data))
        self._target.write(data)
        self._done += len(data)
        self._count(self._done, self._total)

    def _prepare(self, response: HttpResponse) -> Decoding:
        """Check the answer: resume after the known bytes, or start over."""
        answer = response.answer
        if answer.status == RANGE_REFUSED and self._done:
            raise self._restart_error("the server refused to send the rest of the file")
        if not 200 <= answer.status < 300:
            raise response.refusal()
        encoding = answer.headers.get("Content-Encoding")
        decoding = Decoding(encoding)
        if answer.status == PARTIAL:
            if encodings(encoding):
                raise self._restart_error("the server sent an encoded part of the file")
            self._check_range(answer.headers)
        else:
            self._start_over()
            self._version = _version(answer.headers)
            self._total = None if encodings(encoding) else answer.content_length
        return decoding

    def _check_range(self, headers: Mapping[str, str]) -> None:
        """Check that a partial answer continues the known bytes of the same file."""
        sent = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if not sent or not self._done or int(sent[1]) != self._done:
            raise self._restart_error("the server sent another part of the file than asked for")
        total = None if sent[2] == "*" else int(sent[2])
        if self._total is not None and total is not None and total != self._total:
            raise self._restart_error("the file changed while it was fetched")
        if headers.get("ETag", self._version) != self._version and self._version.startswith('"'):
            raise self._restart_error("the file changed while it was fetched")
        self._total = total if self._total is None else self._total

    def _check_complete(self) -> None:
        if self._total is None or self._done == self._total:
            return
        sent = f"the server sent {self._done} of {self._total} bytes"
        raise self._restart_error(sent) if self._done > self._total else RetryableError(sent)

    def _restart_error(self, reason: str) -> RetryableError:
        """Drop the bytes so far and return the error: the next attempt starts over."""
        self._start_over()
        return RetryableError(reason)

    def _start_over(self) -> None:
        self._done = 0
        self._target.seek(0)
        self._target.truncate()

    def _check_size(self, more: int) -> None:
        if self._done + more > self._limit:
            raise WebError(f"the file is larger than {self._limit} bytes")


def _version(headers: Mapping[str, str]) -> str:
    """The validator for `If-Range`; empty when the download cannot be resumed.

    Offsets into encoded content differ from those of the decoded bytes.
    """
    etag = headers.get("ETag", "")
    if encodings(headers.get("Content-Encoding")) or headers.get("Accept-Ranges") == "none":
        return ""
    return headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
