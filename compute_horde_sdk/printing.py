"""A job's output on our own stdout and stderr: while it is printed, and what is left in the end."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TextIO

from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.logs import LogPiece
from compute_horde_sdk.results import ComputeHordeJobResult
from compute_horde_sdk.streams import writing

# A result shows both halves of an output that is longer than this (protocol 8.7).
SHOWN_CHARS = 1_000_000
HALF_CHARS = SHOWN_CHARS // 2
INCOMPLETE = "\n[compute-horde] not all of {} was told while it was printed; here it is again:\n"

Around = Callable[[TextIO, str], AbstractContextManager[None]]


class Seen:
    """What was printed of one stream, as far as its result can be compared with it."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail = ""
        self._count = 0

    def add(self, text: str) -> None:
        """This was printed next."""
        if self._count < SHOWN_CHARS:
            self._head.append(text)
        self._count += len(text)
        self._tail = (self._tail + text)[-HALF_CHARS:]

    def rest_of(self, result: str) -> str | None:
        """What is still to be printed of this, the whole or both ends of it; None for all again."""
        # As logs are stored.
        whole = result.replace("\0", "\N{REPLACEMENT CHARACTER}")
        head = "".join(self._head)
        if self._count > SHOWN_CHARS:
            both = whole.startswith(head[:HALF_CHARS]) and whole.endswith(self._tail)
            return "" if both else None
        return result[self._count :] if whole.startswith(head) else None


class Output:
    """Prints pieces as they come, each where the job printed it.

    `around` surrounds each print to a file, since the same terminal may show something else.
    """

    def __init__(self, around: Around = lambda file, text: nullcontext()) -> None:
        self._around = around
        self._seen = {"stdout": Seen(), "stderr": Seen()}

    def __call__(self, piece: LogPiece) -> None:
        """Print one piece; what was lost is named, and printed in the end."""
        self._print(piece.stream, piece.text)
        if not piece.is_gap:
            self._seen[piece.stream].add(piece.text)

    def finish(self, result: ComputeHordeJobResult) -> None:
        """Print what of an ended job's output was not printed while it ran."""
        for stream, whole in (("stdout", result.stdout), ("stderr", result.stderr)):
            rest = self._seen[stream].rest_of(whole)
            if rest is None:
                self._print("stderr", INCOMPLETE.format(stream))
            self._print(stream, whole if rest is None else rest)

    def _print(self, stream: str, text: str) -> None:
        file = sys.stderr if stream == "stderr" else sys.stdout
        with self._around(file, text), writing("the job's output"):
            file.write(text)
            file.flush()


def left(uuid: str) -> str:
    """What is said to who reads no further."""
    return f"interrupted; the log of job {uuid} can be read with: compute-horde logs -f {uuid}"


async def copy(job: ComputeHordeJob, *, follow: bool, start: int, target: Path | None) -> None:
    """The job's log on stdout, or in a file that may have its beginning already."""
    if target is None:
        async for piece in job.logs(follow, start):
            with writing("the log"):
                sys.stdout.buffer.write(piece.text.encode())
                sys.stdout.buffer.flush()
        return
    with target.open("ab+") as file:
        async for piece in job.logs(follow, _resumed(file)):
            with writing(f"the log in {target}"):
                file.write(piece.text.encode())
                file.flush()


def _resumed(file: IO[bytes]) -> int:
    """Where to go on: at the end, without a character that was cut off there."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4))
    last = file.read()
    for missing in range(1, min(len(last), 3) + 1):
        lead = last[-missing]
        if lead & 0xC0 == 0x80:
            continue
        wanted = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
        if wanted > missing:
            size -= missing
            file.truncate(size)
        break
    return size
