"""Exits at once on SIGTERM or SIGHUP, or when the reader of a stdout pipe has gone."""

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.cli.terminal_filter import printable

NOBODY_READS = "nobody reads the output any more"
TERMINATED = "terminated"
CLEAR_LINE_SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"


@contextmanager
def exit_on_signals(
    exit_message: Callable[[str], str], document: Callable[[str], str] | None = None
) -> Iterator[None]:
    """Inside, SIGTERM, SIGHUP and the loss of stdout's reader end the process at once.

    `exit_message` returns the line to print on stderr for a reason, `document` what to print on
    stdout for that line when the process is terminated. There is no cleanup: the
    interrupted code may be anywhere, and the job's state at the facilitator needs none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader = _ReaderWatch()

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if reader.is_gone.is_set():
            _exit_now(exit_message(NOBODY_READS), Exit.OUTPUT_UNWRITTEN)
        text = exit_message(TERMINATED)
        _exit_now(text, Exit.TERMINATED, document(text) if document else "")

    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    previous_handlers = {number: signal.signal(number, end) for number in signals}
    try:
        with reader:
            yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


def _exit_now(exit_message: str, code: int, document: str = "") -> NoReturn:
    """Print on stderr and stdout, and exit; stream objects may be locked at this moment."""
    with suppress(OSError):
        cleared = CLEAR_LINE_SHOW_CURSOR if os.isatty(2) else b""
        os.write(2, cleared + (f"{printable(exit_message)}\n".encode() if exit_message else b""))
    with suppress(OSError):
        os.write(1, f"{document}\n".encode() if document else b"")
    os._exit(code)


class _ReaderWatch:
    """Thread that sends SIGTERM to the process when stdout is a pipe that loses its reader."""

    def __init__(self) -> None:
        self.is_gone = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = (-1, -1)

    def __enter__(self) -> None:
        stdout = _pipe()
        if stdout is None:
            return
        self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._watch, args=(stdout,), daemon=True)
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        if self._thread is not None:
            os.write(self._stopped[1], b".")
            self._thread.join()
            for end in self._stopped:
                os.close(end)

    def _watch(self, stdout: int) -> None:
        poll = select.poll()
        poll.register(stdout, 0)
        poll.register(self._stopped[0], select.POLLIN)
        found = dict(poll.poll())
        if self._stopped[0] not in found:
            self.is_gone.set()
            main = threading.main_thread().ident
            if main is not None:
                signal.pthread_kill(main, signal.SIGTERM)


def _pipe() -> int | None:
    """The file descriptor of stdout if that is a pipe or socket, else None."""
    try:
        number = sys.stdout.fileno()
        mode = os.fstat(number).st_mode
    except (OSError, ValueError, AttributeError):
        return None
    return number if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
