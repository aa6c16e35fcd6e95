"""Job output reported by validators: stored in batches, then announced to log readers."""

import asyncio
from dataclasses import dataclass, field

from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.protocol.handshake import Response
from facilitator.config import config
from facilitator.logs import store

SUCCESS = Response(status="success")
# Unstored pieces of one connection; with more, its next frame is not read.
PIECES_AT_ONCE = 32

Answer = asyncio.Future[Response]


class LogReader:
    """One open log stream; `changed` is set when its log may have grown or the job has ended."""

    def __init__(self, job_uuid: str, hotkey: str) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self.changed = asyncio.Event()
        self.is_stopped = False


class ReaderRegistry:
    """All open log readers, by job."""

    def __init__(self) -> None:
        self._readers: dict[str, set[LogReader]] = {}

    def open(self, job_uuid: str, hotkey: str) -> LogReader:
        """Register a reader; the caller must `close` it."""
        reader = LogReader(job_uuid, hotkey)
        self._readers.setdefault(job_uuid, set()).add(reader)
        return reader

    def close(self, reader: LogReader) -> None:
        """Unregister a reader; harmless to repeat."""
        readers = self._readers.get(reader.job_uuid, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.job_uuid, None)

    def count(self, hotkey: str) -> int:
        """The number of logs that a user has open."""
        return sum(one.hotkey == hotkey for readers in self._readers.values() for one in readers)

    def notify(self, job_uuid: str) -> None:
        """Wake the readers of a job: its log has grown or the job has ended."""
        for reader in self._readers.get(job_uuid, ()):
            reader.changed.set()

    def stop(self) -> None:
        """End all readers; they reconnect to the next process."""
        for readers in self._readers.values():
            for reader in readers:
                reader.is_stopped = True
                reader.changed.set()


reader_registry = ReaderRegistry()


@dataclass(frozen=True, slots=True)
class PendingPiece:
    """A piece of output and its response; cancelled when the piece could not be stored."""

    piece: OutputPrinted
    answer: Answer = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ValidatorLogSource:
    """The output reported on one connection of a validator."""

    def __init__(self, hotkey: str) -> None:
        self.hotkey = hotkey
        # Set after a failed write: the validator repeats that piece on a new connection, and later
        # pieces from this one must not be stored before it.
        self.is_broken = False
        self._free_slots = asyncio.Semaphore(PIECES_AT_ONCE)
        self._last: dict[str, Answer] = {}

    async def enqueue(self, piece: OutputPrinted) -> Answer:
        """Queue a piece of output to be stored; the future is set once it is stored."""
        await self._free_slots.acquire()
        pending, uuid = PendingPiece(piece), piece.job_uuid
        self._last[uuid] = pending.answer

        def on_stored(answer: Answer) -> None:
            self._free_slots.release()
            if self._last.get(uuid) is answer:
                del self._last[uuid]

        pending.answer.add_done_callback(on_stored)
        writer.put((uuid, self), pending)
        return pending.answer

    async def has_stored(self, job_uuid: str) -> bool:
        """Wait until all queued output of a job is stored; False when that failed."""
        if last := self._last.get(job_uuid):
            await asyncio.wait([last])
        return not self.is_broken


async def _write(key: tuple[str, ValidatorLogSource], batch: list[PendingPiece]) -> None:
    uuid, source = key
    try:
        if source.is_broken:
            return
        pieces = [one.piece for one in batch]
        is_known = await in_database(
            store.append, uuid, source.hotkey, pieces, config.log_max_bytes
        )
        unknown = Response.refusal("job.not_found", f"Job {uuid} not found")
        for one in batch:
            one.answer.set_result(SUCCESS if is_known else unknown)
        reader_registry.notify(uuid)
    except BaseException:
        source.is_broken = True
        raise
    finally:
        for one in batch:
            one.answer.cancel()


writer: BatchWriter[tuple[str, ValidatorLogSource], PendingPiece] = BatchWriter(_write)
