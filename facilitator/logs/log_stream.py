"""A job's log as server-sent events, resumable at any byte position."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

from compute_horde.vocabulary import JobState
from facilitator.config import config
from facilitator.jobs.status_stream import HEARTBEAT, HEARTBEAT_SECONDS, OPENING
from facilitator.logs import ingest, store
from facilitator.logs.segments import skip_bytes
from facilitator.logs.store import Page
from facilitator.models import JobPiece
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

# Logs one hotkey may read at once: each takes a database query whenever its log has grown.
MAX_LOGS = 32
# Shortest pause between two database queries of a reader, however fast the job prints.
PAUSE_SECONDS = 0.02
RETRY_SECONDS = 1.0
# Stands for a page that could not be read.
DATABASE_UNAVAILABLE = Page(JobState.UNKNOWN, ())


async def open_stream(job_uuid: str, hotkey: str, position: int, *, follow: bool) -> "LogStream":
    """The log of a user's job from byte `position` on; with `follow` until the job ends.

    Raises `ApiError` (404, 416 beyond the end of the log, 429 or 503).
    """
    most = min(MAX_LOGS, config.max_streams)
    if ingest.reader_registry.count(hotkey) >= most:
        text = f"at most {most} logs at once; close some"
        raise ApiError(429, {"error": "Too many streams", "details": text})
    with ExitStack() as undo:
        reader = ingest.reader_registry.open(job_uuid, hotkey)
        undo.callback(ingest.reader_registry.close, reader)
        first = await query_within_deadline(store.read_page, job_uuid, hotkey, position)
        if first is None:
            raise ApiError(404, {"detail": "Not found."})
        if not first.rows and first.end < position:
            text = f"the log has {first.end} bytes so far; nothing can be read from {position} on"
            raise ApiError(416, {"error": "Beyond the end of the log", "details": text})
        undo.pop_all()
    return LogStream(reader, first, position, follow=follow)


class LogStream:
    """Response body of a log stream; Django closes it when the client disconnects.

    Rows are read after the client has taken the ones before, so a slow client costs no memory.
    """

    def __init__(
        self, reader: ingest.LogReader, first: Page, position: int, *, follow: bool
    ) -> None:
        self._reader, self._first = reader, first
        self._position, self._follow = position, follow
        self._loop = asyncio.get_running_loop()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield OPENING
        page: Page | None = self._first
        while not self._reader.is_stopped:
            if page is None:
                return
            if page.rows:
                yield b"".join(self._events(page))
            elif page is DATABASE_UNAVAILABLE:
                yield HEARTBEAT
                await asyncio.sleep(RETRY_SECONDS)
            elif page.is_last or not self._follow:
                yield self._end(page)
                return
            elif not await self._wait_for_change():
                yield HEARTBEAT
            self._reader.changed.clear()
            page = await self._page()

    def _events(self, page: Page) -> list[bytes]:
        events = [event(row, self._position) for row in page.rows]
        self._position = page.rows[-1].end
        return events

    async def _wait_for_change(self) -> bool:
        """Wait up to `HEARTBEAT_SECONDS`; whether the log may have grown or the job ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._reader.changed.wait()
                await asyncio.sleep(PAUSE_SECONDS)
                return True
        return False

    async def _page(self) -> Page | None:
        """The next rows; None when the job has been deleted."""
        reader = self._reader
        try:
            return await query_within_deadline(
                store.read_page, reader.job_uuid, reader.hotkey, self._position
            )
        except ApiError:
            return DATABASE_UNAVAILABLE

    def _end(self, page: Page) -> bytes:
        data = json.dumps({"status": page.state, "cursor": self._position})
        return f"event: end\ndata: {data}\n\n".encode()

    def close(self) -> None:
        """Unregister the reader; Django calls this from another thread."""
        self._loop.call_soon_threadsafe(ingest.reader_registry.close, self._reader)


def event(row: JobPiece, position: int) -> bytes:
    """A row as an event, without the bytes before `position`; its id is where to resume."""
    data: dict[str, str | bool] = {
        "stream": row.stream,
        "text": skip_bytes(row.text, position - row.position),
    }
    if row.is_gap:
        data["is_gap"] = True
    return f"id: {row.end}\ndata: {json.dumps(data)}\n\n".encode()
