"""What running jobs print, on its way: kept within bounds, said in turn with everything else."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from compute_horde.protocol.extensions import OutputPrinted, ProgressMade

# What a piece takes in memory beside its text.
PIECE_BYTES = 512
MAX_OFFSET = 2**62
# Of jobs long over only their end is known, lest a repeat be taken for news.
MAX_JOBS = 4096

Word = TypeVar("Word")


@dataclass(slots=True)
class _Pieces:
    """Those of one job; `first` is the number of the oldest that is still there."""

    kept: deque[OutputPrinted] = field(default_factory=deque)
    first: int = 0
    end: int = 0
    cost: int = 0


class Kept:
    """Pieces of output by job, in order; when they are too many the oldest are dropped.

    Whoever gets the piece after those that were dropped sees the gap by its offset.
    """

    def __init__(self, job_bytes: int, all_bytes: int) -> None:
        self._job_bytes = job_bytes
        self._all_bytes = all_bytes
        self._jobs: dict[str, _Pieces] = {}
        self.cost = 0

    def __contains__(self, job_uuid: str) -> bool:
        return job_uuid in self._jobs

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def add(self, piece: OutputPrinted) -> bool:
        """Keep a piece; False for one that was said before, or that says nothing."""
        if piece.job_uuid not in self._jobs and len(self._jobs) >= MAX_JOBS:
            self.forget(next(iter(self._jobs)))
        # Those that print come last, so that the first is the one that has been silent longest.
        pieces = self._jobs[piece.job_uuid] = self._jobs.pop(piece.job_uuid, _Pieces())
        end = piece.end
        if piece.offset < pieces.end or not piece.text or end > MAX_OFFSET:
            return False
        pieces.end = end
        pieces.kept.append(piece)
        self._weigh(pieces, _cost(piece))
        while pieces.cost > self._job_bytes:
            self._drop(pieces)
        while self.cost > self._all_bytes:
            self._drop(max(self._jobs.values(), key=lambda one: one.cost))
        return True

    def from_number(self, job_uuid: str, number: int) -> tuple[OutputPrinted, int] | None:
        """The first piece that is there from `number` on, and the number after it."""
        pieces = self._jobs.get(job_uuid)
        if pieces is None:
            return None
        number = max(number, pieces.first)
        place = number - pieces.first
        return (pieces.kept[place], number + 1) if place < len(pieces.kept) else None

    def arrived(self, job_uuid: str, end: int) -> None:
        """Drop what lies before offset `end`: nobody needs it any more."""
        pieces = self._jobs.get(job_uuid)
        while pieces and pieces.kept and pieces.kept[0].end <= end:
            self._drop(pieces)

    def forget(self, job_uuid: str) -> None:
        """Drop a job."""
        if pieces := self._jobs.pop(job_uuid, None):
            self.cost -= pieces.cost

    def _drop(self, pieces: _Pieces) -> None:
        self._weigh(pieces, -_cost(pieces.kept.popleft()))
        pieces.first += 1

    def _weigh(self, pieces: _Pieces, cost: int) -> None:
        pieces.cost += cost
        self.cost += cost


def _cost(piece: OutputPrinted) -> int:
    return piece.end - piece.offset + PIECE_BYTES


class Turns(Generic[Word]):
    """What one listener is still to be told.

    Words go first, since jobs wait for them; pieces of output and progress when there is nothing
    else, job by job in turn. But a word about a job never overtakes what the job printed before.
    """

    def __init__(self, kept: Kept, *, output: bool = False) -> None:
        self._kept = kept
        self._output = output
        self._words: deque[Word] = deque()
        self._held: dict[str, deque[Word]] = {}
        self._printing: deque[str] = deque()
        self._numbers: dict[str, int] = {}
        self._progress: dict[str, ProgressMade] = {}

    def __len__(self) -> int:
        return len(self._words) + sum(map(len, self._held.values()))

    def say(self, word: Word, job_uuid: str) -> None:
        """A word about a job."""
        if job_uuid in self._numbers and self._has_more(job_uuid):
            self._held.setdefault(job_uuid, deque()).append(word)
        else:
            self._words.append(word)

    def printed(self, job_uuid: str) -> None:
        """Something more of a job is kept."""
        if self._output and job_uuid not in self._printing:
            self._numbers.setdefault(job_uuid, 0)
            self._printing.append(job_uuid)

    def made(self, progress: ProgressMade) -> None:
        """News of the moment; only the latest of a job is worth telling."""
        if self._output:
            self._progress[progress.job_uuid] = progress

    def next(self, *, output: bool = True) -> Word | OutputPrinted | ProgressMade | None:
        """The next to say; without `output` none of that."""
        if not self._words and output:
            if self._progress:
                return self._progress.pop(next(iter(self._progress)))
            if piece := self._next_piece():
                return piece
        return self._words.popleft() if self._words else None

    def left(self) -> list[Word]:
        """The words that were not said, those about one job in order."""
        return [*self._words, *(word for held in self._held.values() for word in held)]

    def forget(self, job_uuid: str) -> None:
        """The job is over for this listener; what is still held is said without its output."""
        self._numbers.pop(job_uuid, None)
        self._progress.pop(job_uuid, None)
        self._words.extend(self._held.pop(job_uuid, ()))

    def rest_of(self, job_uuid: str) -> Iterator[OutputPrinted]:
        """All that is kept of a job and was not said, as said from now on."""
        while self._output and (found := self._found(job_uuid)):
            piece, self._numbers[job_uuid] = found
            yield piece

    def _next_piece(self) -> OutputPrinted | None:
        while self._printing:
            job_uuid = self._printing[0]
            if found := self._found(job_uuid):
                piece, self._numbers[job_uuid] = found
                self._printing.rotate(-1)
                if not self._has_more(job_uuid):
                    self._printing.remove(job_uuid)
                    self._words.extend(self._held.pop(job_uuid, ()))
                return piece
            self._printing.popleft()
            self._words.extend(self._held.pop(job_uuid, ()))
        return None

    def _found(self, job_uuid: str) -> tuple[OutputPrinted, int] | None:
        return self._kept.from_number(job_uuid, self._numbers.get(job_uuid, 0))

    def _has_more(self, job_uuid: str) -> bool:
        return self._found(job_uuid) is not None
