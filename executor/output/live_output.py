"""Streams a job's output and progress to the miner while the job runs."""

import asyncio
import codecs
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import Stage, Stream

# After a piece was sent, the next waits this long for more output, unless there is enough.
LINGER_SECONDS = 0.05
SEND_NOW_BYTES = 2**15
# A piece takes more output until it has this many bytes; a longer text is divided.
PIECE_BYTES = 2**16
PIECE_CHARACTERS = 2**16
MAX_WAITING_BYTES = 2**22
# The average rate, so that one job cannot fill the shared connection; bursts may exceed it.
BYTES_PER_SECOND = 2**23
FLUSH_SECONDS = 2.0
PROGRESS_SECONDS = 0.3
WHAT_CHARACTERS = 200
# Names of which the progress is remembered; beyond them, all are forgotten.
MAX_REPORTED = 1000


@dataclass(slots=True)
class _Piece:
    """Output of one stream that waits to be sent; `size` is in bytes."""

    stream: Stream
    texts: list[str] = field(default_factory=list)
    size: int = 0


class LiveOutputSender:
    """Buffers output and sends it to the miner in pieces, without slowing the job down.

    When the miner receives more slowly than the job prints, the oldest output is dropped; the
    offset of the next piece shows the gap.
    """

    def __init__(
        self, send: Callable[[Message], Awaitable[None]], job_uuid: str, stage: Callable[[], Stage]
    ) -> None:
        self._send = send
        self._job_uuid = job_uuid
        self._stage = stage
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")(errors="replace") for stream in Stream
        }
        self._waiting: deque[_Piece] = deque()
        self._size = 0
        self._offset = 0
        self._progress: dict[str, ProgressMade] = {}
        self._reported_at: dict[str, float] = {}
        self._sent_at = 0.0
        self._busy_until = 0.0
        self._has_data = asyncio.Event()
        self._send_now = asyncio.Event()
        self._closing = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start sending; the caller cancels the returned task."""
        self._running = asyncio.create_task(self._run())
        return self._running

    def printed(self, is_stderr: bool, data: bytes) -> None:  # noqa: FBT001 (the engine's pair)
        """Add output of the job."""
        stream = Stream.STDERR if is_stderr else Stream.STDOUT
        self._take(stream, self._decoders[stream].decode(data))

    def report_progress(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """Report the bytes of `what` so far, at most once per `PROGRESS_SECONDS` until complete."""
        now, what = time.monotonic(), what[:WHAT_CHARACTERS]
        if done_bytes != total_bytes and now - self._reported_at.get(what, 0) < PROGRESS_SECONDS:
            return
        if len(self._reported_at) >= MAX_REPORTED:
            self._reported_at.clear()
            self._progress.clear()
        self._reported_at[what] = now
        self._progress[what] = ProgressMade(
            job_uuid=self._job_uuid,
            stage=self._stage(),
            what=what,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
        )
        self._has_data.set()

    async def flush(self) -> None:
        """Send all that waits, but for at most `FLUSH_SECONDS`, then stop."""
        for stream, decoder in self._decoders.items():
            self._take(stream, decoder.decode(b"", final=True))
        self._closing = True
        self._has_data.set()
        self._send_now.set()
        if self._running:
            await asyncio.wait({self._running}, timeout=FLUSH_SECONDS)
            self._running.cancel()

    def _take(self, stream: Stream, text: str) -> None:
        for start in range(0, len(text), PIECE_CHARACTERS):
            self._append(stream, text[start : start + PIECE_CHARACTERS])
        while self._size > MAX_WAITING_BYTES:
            self._count_removed(self._waiting.popleft())
        if self._waiting:
            self._has_data.set()
        if self._size >= SEND_NOW_BYTES:
            self._send_now.set()

    def _append(self, stream: Stream, text: str) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.stream is not stream or last.size >= PIECE_BYTES:
            last = _Piece(stream)
            self._waiting.append(last)
        size = len(text.encode())
        last.texts.append(text)
        last.size += size
        self._size += size

    def _count_removed(self, waiting: _Piece) -> None:
        self._size -= waiting.size
        self._offset += waiting.size

    async def _run(self) -> None:
        """Send until all is sent after `flush`, or the connection is lost."""
        with suppress(ConnectionLostError):
            while not self._closing or self._waiting:
                await self._has_data.wait()
                self._has_data.clear()
                while self._progress:
                    await self._send(self._progress.pop(next(iter(self._progress))))
                while self._waiting:
                    await self._wait_turn()
                    await self._send_first()

    async def _wait_turn(self) -> None:
        """Wait before the next piece: for more output, and for the average rate."""
        now = time.monotonic()
        pause = max(self._sent_at + LINGER_SECONDS - now, 0)
        if pause and self._size < SEND_NOW_BYTES and not self._closing:
            self._send_now.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._send_now.wait()
        delay = self._busy_until - time.monotonic()
        if delay > 0 and not self._closing:
            await asyncio.sleep(delay)

    async def _send_first(self) -> None:
        if not self._waiting:
            return
        first = self._waiting.popleft()
        piece = OutputPrinted(
            job_uuid=self._job_uuid,
            offset=self._offset,
            stream=first.stream,
            text="".join(first.texts),
        )
        self._count_removed(first)
        now = self._sent_at = time.monotonic()
        spare = MAX_WAITING_BYTES / BYTES_PER_SECOND
        self._busy_until = max(self._busy_until, now - spare) + first.size / BYTES_PER_SECOND
        await self._send(piece)
