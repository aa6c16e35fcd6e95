"""Our own stdout and stderr, which may be closed, full or left by their readers."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from compute_horde_sdk.exits import Exit


class Unwritable(Exception):
    """What was to be shown did not arrive; no text when its readers have seen enough."""


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Say what could not be written."""
    try:
        yield
    except BrokenPipeError as exc:
        raise Unwritable from exc
    except OSError as exc:
        raise Unwritable(f"{what} cannot be written: {exc.strerror}") from exc


def say(text: str) -> None:
    """A line on stderr, if that can be told anybody."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = _nowhere()


def served(command: Callable[[], None]) -> None:
    """Do `command`, which ends by `SystemExit`, with streams that can be written to."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere())
    for stream in (sys.stdout, sys.stderr):
        # A job may print what this terminal has no letters for.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with writing("the answer"):
            try:
                command()
            except SystemExit:
                sys.stdout.flush()
                raise
    except Unwritable as exc:
        # Else the interpreter would try once more in the end and exit with a code of its own.
        sys.stdout = _nowhere()
        if str(exc):
            say(str(exc))
        sys.exit(Exit.OUTPUT_MISSING)


def _nowhere() -> TextIO:
    return open(os.devnull, "r+", encoding="utf-8")
