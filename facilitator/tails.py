"""A job's log as server-sent events, resumable at any byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

from django.conf import settings

from compute_horde.vocabulary import JobState
from facilitator import journal, logs
from facilitator.events import HEARTBEAT, HEARTBEAT_SECONDS, OPENING
from facilitator.journal import Page
from facilitator.models import JobPiece
from facilitator.patience import promptly
from facilitator.pieces import after
from facilitator.refusal import Refusal

# However fast a job prints, its readers ask the database no more often.
PAUSE_SECONDS = 0.02
AGAIN_SECONDS = 1.0
# The database does not answer for a moment.
AWAY = Page(JobState.UNKNOWN, ())


async def read(job_uuid: str, hotkey: str, position: int, *, follow: bool) -> "Tail":
    """The log of a user's job from byte `position` on; with `follow` until the job is over."""
    if logs.board.readers(hotkey) >= settings.MAX_STREAMS:
        text = f"at most {settings.MAX_STREAMS} logs at once; close some"
        raise Refusal(429, {"error": "Too many streams", "details": text})
    with ExitStack() as undo:
        reader = logs.board.open(job_uuid, hotkey)
        undo.callback(logs.board.close, reader)
        first = await promptly(journal.page, job_uuid, hotkey, position)
        if first is None:
            raise Refusal(404, {"detail": "Not found."})
        if not first.rows and first.end < position:
            text = f"the log has {first.end} bytes so far; nothing can be read from {position} on"
            raise Refusal(416, {"error": "Beyond the end of the log", "details": text})
        undo.pop_all()
    return Tail(reader, first, position, follow=follow)


class Tail:
    """What Django sends chunk by chunk, and closes when the client is gone.

    Rows are read when the client has taken those before them, so a slow one costs nothing.
    """

    def __init__(self, reader: logs.Reader, first: Page, position: int, *, follow: bool) -> None:
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
            elif page is AWAY:
                yield HEARTBEAT
                await asyncio.sleep(AGAIN_SECONDS)
            elif page.is_last or not self._follow:
                yield self._end(page)
                return
            elif not await self._news():
                yield HEARTBEAT
            self._reader.news.clear()
            page = await self._page()

    def _events(self, page: Page) -> list[bytes]:
        told = [event(row, self._position) for row in page.rows]
        self._position = page.rows[-1].end
        return told

    async def _news(self) -> bool:
        """Whether there may be more; after a long silence it is looked for anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._reader.news.wait()
                await asyncio.sleep(PAUSE_SECONDS)
                return True
        return False

    async def _page(self) -> Page | None:
        """The next rows; None when the job was deleted."""
        reader = self._reader
        try:
            return await promptly(journal.page, reader.job_uuid, reader.hotkey, self._position)
        except Refusal:
            return AWAY

    def _end(self, page: Page) -> bytes:
        told = json.dumps({"status": page.state, "cursor": self._position})
        return f"event: end\ndata: {told}\n\n".encode()

    def close(self) -> None:
        """Forget the reader; Django calls this from another thread."""
        self._loop.call_soon_threadsafe(logs.board.close, self._reader)


def event(row: JobPiece, position: int) -> bytes:
    """A row as an event, without what lies before `position`; its id is where to go on."""
    told = {"stream": row.stream, "text": after(row.text, position - row.position)}
    if row.is_gap:
        told["is_gap"] = True
    return f"id: {row.end}\ndata: {json.dumps(told)}\n\n".encode()
