"""Prints a job's output on stdout and stderr: live, and what is missing once it has ended."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TextIO

from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.truncation import HALF_CHARACTERS, SHOWN_CHARACTERS
from compute_horde_sdk.cli.stdio import writing
from compute_horde_sdk.cli.terminal_filter import TerminalFilter
from compute_horde_sdk.errors import InvalidRequestError, RequestRefused
from compute_horde_sdk.facilitator.job_logs import BEYOND_END, LogPiece
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.jobs import ComputeHordeJob

INCOMPLETE = (
    "\n[compute-horde] not all of {} was received while it was printed; here it is again:\n"
)

Around = Callable[[TextIO, str], AbstractContextManager[None]]


class PrintedText:
    """The text printed so far of one stream, kept as far as the job's result has it.

    The result of a long stream has only its first and last `HALF_CHARACTERS`.
    """

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail = ""
        self._count = 0

    def add(self, text: str) -> None:
        """Record text that was printed."""
        if self._count < SHOWN_CHARACTERS:
            self._head.append(text)
        self._count += len(text)
        self._tail = (self._tail + text)[-HALF_CHARACTERS:]

    @property
    def beginning(self) -> str:
        """The beginning of the printed text, or all of it."""
        return "".join(self._head)

    def rest_of(self, result: str) -> str | None:
        """The part of `result` not printed yet; None if it differs, so all must be printed again.

        `result` is the whole stream, or its beginning and end if that is long.
        """
        whole = replace_nul(result)  # As in the stored log.
        head = "".join(self._head)
        if self._count > SHOWN_CHARACTERS:
            both = whole.startswith(head[:HALF_CHARACTERS]) and whole.endswith(self._tail)
            return "" if both else None
        return result[self._count :] if whole.startswith(head) else None


class OutputPrinter:
    """Prints log pieces as they arrive, each to the stream that the job printed it to.

    `around` is a context manager entered around each write, to pause other output on the same
    terminal. Terminals get no control sequences except colours, unless `raw`.
    """

    def __init__(
        self, around: Around = lambda file, text: nullcontext(), *, raw: bool = False
    ) -> None:
        self._around = around
        self._raw = raw
        self._filters = {"stdout": TerminalFilter(), "stderr": TerminalFilter()}
        self._held: set[str] = set()
        self._seen = {"stdout": PrintedText(), "stderr": PrintedText()}

    def __call__(self, piece: LogPiece) -> None:
        """Print one piece; for a gap, prints its note, and `finish` prints the output again."""
        text = piece.text
        if not piece.is_gap:
            text = self._until_replacement(piece.stream, text)
            self._seen[piece.stream].add(text)
        self._print(piece.stream, text)

    def _until_replacement(self, stream: str, text: str) -> str:
        """The part of `text` before the first replacement character; "" after that.

        If stdout is a file or pipe, output that is not UTF-8 is written as bytes by `finish`.
        """
        if stream == "stderr" or sys.stdout.isatty():
            return text
        if stream in self._held:
            return ""
        known, found, _ = text.partition("\N{REPLACEMENT CHARACTER}")
        if found:
            self._held.add(stream)
        return known

    def finish(self, result: ComputeHordeJobResult) -> None:
        """Print the part of an ended job's output that was not printed while it ran."""
        for stream, whole in (("stdout", result.stdout), ("stderr", result.stderr)):
            raw = result.raw_output.get(stream)
            if stream == "stdout" and raw is not None and not sys.stdout.isatty():
                self._print_bytes(raw)
                continue
            rest = self._seen[stream].rest_of(whole)
            if rest is None:
                self._print("stderr", INCOMPLETE.format(stream))
            self._print(stream, whole if rest is None else rest)
            self._write(stream, self._filters[stream].close())

    def _print_bytes(self, raw: bytes) -> None:
        """Write the bytes of stdout that were not printed as text yet."""
        shown = self._seen["stdout"].beginning.encode()
        if raw.startswith(shown):
            raw = raw[len(shown) :]
        else:
            self._print("stderr", INCOMPLETE.format("stdout"))
        with writing("the job's output"):
            sys.stdout.flush()
            sys.stdout.buffer.write(raw)
            sys.stdout.flush()

    def _print(self, stream: str, text: str) -> None:
        file = self._file(stream)
        shown = text if self._raw or not file.isatty() else self._filters[stream].feed(text)
        self._write(stream, shown)

    def _file(self, stream: str) -> TextIO:
        return sys.stderr if stream == "stderr" else sys.stdout

    def _write(self, stream: str, text: str) -> None:
        if not text:
            return
        file = self._file(stream)
        with self._around(file, text), writing("the job's output"):
            # The progress display may replace sys.stdout and sys.stderr while it is shown.
            file = sys.stderr if stream == "stderr" else sys.stdout
            file.write(text)
            file.flush()


def interrupted_text(uuid: str) -> str:
    """Message after Ctrl-C while reading a log."""
    return f"interrupted; the log of job {uuid} can be read with: compute-horde logs -f {uuid}"


async def copy(
    job: ComputeHordeJob,
    *,
    follow: bool,
    start: int,
    target: Path | None,
    raw: bool = False,
) -> None:
    """Copy the job's log to stdout, or append it to `target`, which may have its beginning."""
    if target is None:
        shown = TerminalFilter() if sys.stdout.isatty() and not raw else None
        async for piece in job.logs(follow, start):
            _write_stdout(shown.feed(piece.text) if shown else piece.text)
        if shown:
            _write_stdout(shown.close())
        return
    with target.open("ab+") as file:
        start = _resume_position(file)
        try:
            async for piece in job.logs(follow, start):
                with writing(f"the log in {target}"):
                    file.write(piece.text.encode())
                    file.flush()
        except RequestRefused as exc:
            if exc.status_code != BEYOND_END:
                raise
            raise InvalidRequestError(
                f"{target} has more bytes than the log, so it is not the beginning of it; name "
                f"another file. {exc}"
            ) from exc


def _write_stdout(text: str) -> None:
    with writing("the log"):
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def _resume_position(file: IO[bytes]) -> int:
    """The byte to resume at: the file's end, after removing an incomplete UTF-8 character."""
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
