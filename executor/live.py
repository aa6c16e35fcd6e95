"""What a job prints and how far its stages are, told to the miner while it happens."""

import asyncio
import codecs
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from compute_horde.adapters.websocket import LineLost
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import Stage, Stream

# What is printed waits this long for more, unless enough waits already.
COMPANY_SECONDS = 0.05
ENOUGH_BYTES = 2**15
PIECE_BYTES = 2**16
WAITING_BYTES = 2**22
# A job that only prints must not fill the line that everybody else needs; a burst may.
BYTES_PER_SECOND = 2**23
FLUSH_SECONDS = 2.0
PROGRESS_SECONDS = 0.3
WHAT_CHARACTERS = 200
MAX_THINGS = 1000


@dataclass(slots=True)
class _Waiting:
    """A piece that still grows."""

    stream: Stream
    texts: list[str] = field(default_factory=list)
    size: int = 0


class Live:
    """Takes all that is printed at once, whatever becomes of it.

    When the miner takes it more slowly than it comes, the oldest is dropped; the miner sees that by
    the offset of the next piece.
    """

    def __init__(
        self, say: Callable[[Message], Awaitable[None]], job_uuid: str, stage: Callable[[], Stage]
    ) -> None:
        self._say = say
        self._job_uuid = job_uuid
        self._stage = stage
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")(errors="replace") for stream in Stream
        }
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._offset = 0
        self._progress: dict[str, ProgressMade] = {}
        self._told_at: dict[str, float] = {}
        self._said_at = 0.0
        self._paid_until = 0.0
        self._news = asyncio.Event()
        self._enough = asyncio.Event()
        self._closing = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to tell; whoever called ends the task."""
        self._running = asyncio.create_task(self._run())
        return self._running

    def printed(self, is_stderr: bool, data: bytes) -> None:  # noqa: FBT001 (the engine's pair)
        """Something the job printed."""
        stream = Stream.STDERR if is_stderr else Stream.STDOUT
        self._take(stream, self._decoders[stream].decode(data))

    def tell(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """How much of something is here; said now and then."""
        now = time.monotonic()
        if done_bytes != total_bytes and now - self._told_at.get(what, 0) < PROGRESS_SECONDS:
            return
        if len(self._told_at) >= MAX_THINGS:
            self._told_at.clear()
        self._told_at[what] = now
        self._progress[what] = ProgressMade(
            job_uuid=self._job_uuid,
            stage=self._stage(),
            what=what[:WHAT_CHARACTERS],
            done_bytes=done_bytes,
            total_bytes=total_bytes,
        )
        self._news.set()

    async def flush(self) -> None:
        """Say all that waits, but do not keep the job waiting for a miner that does not listen."""
        for stream, decoder in self._decoders.items():
            self._take(stream, decoder.decode(b"", final=True))
        self._closing = True
        self._news.set()
        self._enough.set()
        if self._running:
            await asyncio.wait({self._running}, timeout=FLUSH_SECONDS)
            self._running.cancel()

    def _take(self, stream: Stream, text: str) -> None:
        for start in range(0, len(text), PIECE_BYTES):
            self._append(stream, text[start : start + PIECE_BYTES])
        while self._size > WAITING_BYTES:
            self._removed(self._waiting.popleft())
        if self._waiting:
            self._news.set()
        if self._size >= ENOUGH_BYTES:
            self._enough.set()

    def _append(self, stream: Stream, text: str) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.stream is not stream or last.size >= PIECE_BYTES:
            last = _Waiting(stream)
            self._waiting.append(last)
        size = len(text.encode())
        last.texts.append(text)
        last.size += size
        self._size += size

    def _removed(self, waiting: _Waiting) -> None:
        self._size -= waiting.size
        self._offset += waiting.size

    async def _run(self) -> None:
        """Until the miner is gone, which others tell, or all is said after the end."""
        with suppress(LineLost):
            while not self._closing or self._waiting:
                await self._news.wait()
                self._news.clear()
                while self._progress:
                    await self._say(self._progress.pop(next(iter(self._progress))))
                while self._waiting:
                    await self._company()
                    await self._say_first()

    async def _company(self) -> None:
        """The first piece after a silence is said at once; the next waits for more, or its turn."""
        now = time.monotonic()
        pause = max(self._said_at + COMPANY_SECONDS - now, 0)
        if pause and self._size < ENOUGH_BYTES and not self._closing:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._enough.wait()
        debt = self._paid_until - time.monotonic()
        if debt > 0 and not self._closing:
            await asyncio.sleep(debt)

    async def _say_first(self) -> None:
        if not self._waiting:
            return
        first = self._waiting.popleft()
        piece = OutputPrinted(
            job_uuid=self._job_uuid,
            offset=self._offset,
            stream=first.stream,
            text="".join(first.texts),
        )
        self._removed(first)
        now = self._said_at = time.monotonic()
        spare = WAITING_BYTES / BYTES_PER_SECOND
        self._paid_until = max(self._paid_until, now - spare) + first.size / BYTES_PER_SECOND
        await self._say(piece)
