"""A bounded buffer for the output of running jobs, and a queue that sends it to one peer."""

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from compute_horde.protocol.extensions import OutputPrinted, ProgressMade

# Memory that a piece takes besides its text.
PIECE_BYTES = 512
MAX_OFFSET = 2**62
# Jobs remembered, also finished ones, so that a repeated piece is recognised.
MAX_JOBS = 4096

MessageT = TypeVar("MessageT")


@dataclass(slots=True)
class _Pieces:
    """The pieces of one job, with their cost in bytes; `first` numbers the oldest one kept."""

    kept: deque[tuple[OutputPrinted, int]] = field(default_factory=deque)
    first: int = 0
    end: int = 0
    cost: int = 0


class OutputBuffer:
    """Pieces of output by job, in order; when they are too many the oldest are dropped.

    The receiver of the piece after dropped ones sees the gap by its offset.
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
        """Add a piece; False for a repeated or empty one."""
        if piece.job_uuid not in self._jobs and len(self._jobs) >= MAX_JOBS:
            self.forget(next(iter(self._jobs)))
        # Jobs in the order of their latest piece, so that the first has been silent longest.
        pieces = self._jobs[piece.job_uuid] = self._jobs.pop(piece.job_uuid, _Pieces())
        end = piece.end
        if piece.offset < pieces.end or not piece.text or end > MAX_OFFSET:
            return False
        pieces.end = end
        cost = _cost(piece)
        pieces.kept.append((piece, cost))
        self._change_cost(pieces, cost)
        while pieces.cost > self._job_bytes:
            self._drop(pieces)
        while self.cost > self._all_bytes:
            self._drop(max(self._jobs.values(), key=lambda one: one.cost))
        return True

    def from_number(self, job_uuid: str, number: int) -> tuple[OutputPrinted, int] | None:
        """The first kept piece from `number` on, and the number after it; None without one."""
        pieces = self._jobs.get(job_uuid)
        if pieces is None:
            return None
        number = max(number, pieces.first)
        place = number - pieces.first
        return (pieces.kept[place][0], number + 1) if place < len(pieces.kept) else None

    def drop_acknowledged(self, job_uuid: str, end: int) -> None:
        """Drop acknowledged pieces, which end at or before offset `end`."""
        pieces = self._jobs.get(job_uuid)
        while pieces and pieces.kept and pieces.kept[0][0].end <= end:
            self._drop(pieces)

    def forget(self, job_uuid: str) -> None:
        """Drop a job and its pieces."""
        if pieces := self._jobs.pop(job_uuid, None):
            self.cost -= pieces.cost

    def _drop(self, pieces: _Pieces) -> None:
        _, cost = pieces.kept.popleft()
        self._change_cost(pieces, -cost)
        pieces.first += 1

    def _change_cost(self, pieces: _Pieces, cost: int) -> None:
        pieces.cost += cost
        self.cost += cost


def _cost(piece: OutputPrinted) -> int:
    # One wide character makes every character of a text take up to four bytes.
    return sys.getsizeof(piece.text) - sys.getsizeof("") + PIECE_BYTES


class SendQueue(Generic[MessageT]):
    """Messages and output waiting to be sent to one peer.

    Messages (`MessageT`) go first, since jobs wait for them; then progress, then pieces of output,
    one job after the other in turn. A message about a job never overtakes its earlier output.
    """

    def __init__(self, kept: OutputBuffer, *, output: bool = False) -> None:
        self._buffer = kept
        self._output = output
        self._messages: deque[MessageT] = deque()
        self._held: dict[str, deque[MessageT]] = {}
        self._printing: deque[str] = deque()
        self._numbers: dict[str, int] = {}
        self._progress: dict[str, ProgressMade] = {}

    def __len__(self) -> int:
        return len(self._messages) + sum(map(len, self._held.values()))

    def enqueue(self, message: MessageT, job_uuid: str) -> None:
        """Queue a message about a job."""
        if job_uuid in self._numbers and self._has_more(job_uuid):
            self._held.setdefault(job_uuid, deque()).append(message)
        else:
            self._messages.append(message)

    def on_piece_added(self, job_uuid: str) -> None:
        """A piece of a job was added to the buffer."""
        if self._output and job_uuid not in self._printing:
            self._numbers.setdefault(job_uuid, 0)
            self._printing.append(job_uuid)

    def enqueue_progress(self, progress: ProgressMade) -> None:
        """Queue progress of a job, replacing an older one that was not sent."""
        if self._output:
            self._progress[progress.job_uuid] = progress

    def next(self, *, output: bool = True) -> MessageT | OutputPrinted | ProgressMade | None:
        """The next item to send, or None; without `output` only messages."""
        if not self._messages and output:
            if self._progress:
                return self._progress.pop(next(iter(self._progress)))
            if piece := self._next_piece():
                return piece
        return self._messages.popleft() if self._messages else None

    def unsent(self) -> list[MessageT]:
        """The messages not sent yet, in order for each job."""
        return [*self._messages, *(message for held in self._held.values() for message in held)]

    def forget(self, job_uuid: str) -> None:
        """Stop sending a job's output; messages held back for it are sent."""
        self._numbers.pop(job_uuid, None)
        self._progress.pop(job_uuid, None)
        self._messages.extend(self._held.pop(job_uuid, ()))

    def rest_of(self, job_uuid: str) -> Iterator[OutputPrinted]:
        """The pieces of a job not sent yet; they count as sent once yielded."""
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
                    self._messages.extend(self._held.pop(job_uuid, ()))
                return piece
            self._printing.popleft()
            self._messages.extend(self._held.pop(job_uuid, ()))
        return None

    def _found(self, job_uuid: str) -> tuple[OutputPrinted, int] | None:
        return self._buffer.from_number(job_uuid, self._numbers.get(job_uuid, 0))

    def _has_more(self, job_uuid: str) -> bool:
        return self._found(job_uuid) is not None
