"""Safe use of stdin, stdout and stderr, which may be closed, full or without a reader."""

import errno
import fcntl
import os
import stat
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.cli.terminal_filter import printable

PROBLEM_SECONDS = 1.5


class UnwritableError(Exception):
    """Output could not be written; without a text when its reader closed the pipe."""


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn `OSError` inside into an `UnwritableError` that names `what`."""
    try:
        yield
    except BrokenPipeError as exc:
        raise UnwritableError from exc
    except OSError as exc:
        reason = "the stream is closed" if exc.errno == errno.EBADF else exc.strerror
        raise UnwritableError(f"{what} cannot be written: {reason}") from exc


def discard_stdout() -> None:
    """Drop all further output, and what is buffered: else the interpreter fails on it at exit."""
    sys.stdout = _null_stream()


def print_stderr(text: str) -> None:
    """Print a line on stderr without control characters; does nothing if stderr is closed."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = _null_stream()


class ProblemLines:
    """Prints one line about a retried request once that lasts `PROBLEM_SECONDS`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._is_printed = False

    def __call__(self, problem: str | None) -> None:
        """Report that `problem` persists; None when it is solved."""
        now = time.monotonic()
        if problem is None:
            self._began, self._is_printed = now, False
        elif not self._is_printed and now - self._began >= PROBLEM_SECONDS:
            self._is_printed = True
            print_stderr(problem)


def has_unread_stdin() -> bool:
    """Whether stdin is a file, pipe or socket with unread data now."""
    try:
        number = sys.stdin.fileno()
        status = os.fstat(number)
        if stat.S_ISREG(status.st_mode):
            return os.lseek(number, 0, os.SEEK_CUR) < status.st_size
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            waiting = fcntl.ioctl(number, termios.FIONREAD, bytes(4))
            return int.from_bytes(waiting, sys.byteorder) > 0
    except (OSError, ValueError, AttributeError):
        return False
    return False


def run_with_safe_streams(command: Callable[[], None]) -> None:
    """Run `command`, which ends by `SystemExit`; a closed stderr becomes /dev/null.

    Exits with `Exit.OUTPUT_UNWRITTEN` when output cannot be written, also to a closed stdout.
    """
    # In this order: each takes the lowest free number, which is its own.
    sys.stdin = sys.stdin or _closed_stream(os.O_WRONLY)
    sys.stdout = sys.stdout or _closed_stream(os.O_RDONLY)
    sys.stderr = sys.stderr or _null_stream()
    for stream in (sys.stdout, sys.stderr):
        # A job may print characters that the encoding of this terminal lacks.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with writing("the answer"):
            try:
                command()
            except SystemExit:
                sys.stdout.flush()
                raise
    except UnwritableError as exc:
        discard_stdout()
        if str(exc):
            print_stderr(str(exc))
        sys.exit(Exit.OUTPUT_UNWRITTEN)


def _closed_stream(mode: int) -> TextIO:
    """A stream that fails as a closed one does, and takes its number from files opened later.

    It is /dev/null, opened with the `mode` of `os.open` in which it cannot be used.
    """
    return open(os.open(os.devnull, mode), "w" if mode == os.O_RDONLY else "r", encoding="utf-8")


def _null_stream() -> TextIO:
    return open(os.devnull, "r+", encoding="utf-8")
