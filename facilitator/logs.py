"""What validators tell of the output of jobs: stored in batches, then told to who reads it."""

import asyncio
from dataclasses import dataclass, field

from django.conf import settings

from compute_horde.django.database import in_database
from compute_horde.django.scribe import Scribe
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.protocol.handshake import Response
from facilitator import journal

SUCCESS = Response(status="success")
# Of one connection; the next frame is not read before there is room again.
PIECES_AT_ONCE = 32

Answer = asyncio.Future[Response]


class Reader:
    """Somebody who reads a log, and is woken when there may be more of it."""

    def __init__(self, job_uuid: str, hotkey: str) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self.news = asyncio.Event()
        self.is_stopped = False


class Board:
    """Who reads the log of which job."""

    def __init__(self) -> None:
        self._readers: dict[str, set[Reader]] = {}

    def open(self, job_uuid: str, hotkey: str) -> Reader:
        """A reader who is woken from now on; the caller must `close` it."""
        reader = Reader(job_uuid, hotkey)
        self._readers.setdefault(job_uuid, set()).add(reader)
        return reader

    def close(self, reader: Reader) -> None:
        """Forget a reader, however often."""
        readers = self._readers.get(reader.job_uuid, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.job_uuid, None)

    def readers(self, hotkey: str) -> int:
        """How many logs a user reads now."""
        return sum(one.hotkey == hotkey for readers in self._readers.values() for one in readers)

    def wake(self, job_uuid: str) -> None:
        """There may be more of a log, or the job is over."""
        for reader in self._readers.get(job_uuid, ()):
            reader.news.set()

    def stop(self) -> None:
        """End all readers; they come back to the next process."""
        for readers in self._readers.values():
            for reader in readers:
                reader.is_stopped = True
                reader.news.set()


board = Board()


@dataclass(frozen=True, slots=True)
class Told:
    """A piece and the answer it will get; cancelled when it could not be stored."""

    piece: OutputPrinted
    answer: Answer = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Source:
    """One connection of a validator, as far as it tells what jobs print."""

    def __init__(self, hotkey: str) -> None:
        self.hotkey = hotkey
        # Of what could not be stored the validator tells again, on another connection; what comes
        # after it on this one must not be taken before it.
        self.is_broken = False
        self._room = asyncio.Semaphore(PIECES_AT_ONCE)
        self._last: dict[str, Answer] = {}

    async def hear(self, piece: OutputPrinted) -> Answer:
        """Store a piece soon; its answer comes when that is done."""
        await self._room.acquire()
        told, uuid = Told(piece), piece.job_uuid
        self._last[uuid] = told.answer

        def done(answer: Answer) -> None:
            self._room.release()
            if self._last.get(uuid) is answer:
                del self._last[uuid]

        told.answer.add_done_callback(done)
        scribe.hear((uuid, self), told)
        return told.answer

    async def has_stored(self, job_uuid: str) -> bool:
        """Wait until all that was heard of a job is stored; False when that failed."""
        if last := self._last.get(job_uuid):
            await asyncio.wait([last])
        return not self.is_broken


async def _write(key: tuple[str, Source], facts: list[Told]) -> None:
    uuid, source = key
    try:
        if source.is_broken:
            return
        pieces = [fact.piece for fact in facts]
        is_known = await in_database(
            journal.store, uuid, source.hotkey, pieces, settings.LOG_MAX_BYTES
        )
        unknown = Response.refusal("job.not_found", f"Job {uuid} not found")
        for fact in facts:
            fact.answer.set_result(SUCCESS if is_known else unknown)
        board.wake(uuid)
    except BaseException:
        source.is_broken = True
        raise
    finally:
        for fact in facts:
            fact.answer.cancel()


scribe: Scribe[tuple[str, Source], Told] = Scribe(_write)
