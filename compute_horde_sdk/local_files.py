"""Reads local files and folders to be sent with a job, and reports what cannot be sent."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compute_horde.volumes import path_problem
from compute_horde_sdk.errors import InvalidRequestError

STDIN = "-"
# Where the files that this process has open are, by number.
OPEN_FILES = ("/dev/fd/", "/proc/self/fd/")
KINDS = (
    (stat.S_ISFIFO, "is a FIFO"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISCHR, "is a device"),
)


@dataclass(frozen=True, slots=True)
class SkippedInput:
    """A file in an input folder that is not sent, and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is not sent: it {self.reason}"


@dataclass(frozen=True, slots=True)
class Source:
    """One input file, with its content in `data` if it came from stdin, or an empty folder."""

    path: Path
    data: bytes | None = None
    is_folder: bool = False

    @property
    def size(self) -> int:
        """Its present size in bytes."""
        if self.data is not None or self.is_folder:
            return len(self.data or b"")
        return self.path.stat().st_size

    @property
    def is_program(self) -> bool:
        """Whether this user may execute it."""
        return self.data is None and os.access(self.path, os.X_OK)

    def read(self) -> bytes:
        """Its bytes; raises `InvalidRequestError` when it cannot be read."""
        if self.data is not None or self.is_folder:
            return self.data or b""
        try:
            data = _read_regular(self.path)
        except OSError as exc:
            raise InvalidRequestError(
                f"the input {self.path} cannot be read: {exc.strerror}"
            ) from exc
        if data is None:
            raise InvalidRequestError(
                f"the input {self.path} cannot be read: it is no regular file any more"
            )
        return data


def _read_regular(path: Path) -> bytes | None:
    """The bytes of a regular file; None for others, without waiting for a writer.

    What is at `path` may have changed since it was looked at.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read()


def expanded(local: str) -> Path:
    """The path with `~` replaced; raises `InvalidRequestError` for a user that does not exist."""
    try:
        return Path(local).expanduser()
    except RuntimeError as exc:
        raise InvalidRequestError(f"{local!r} names a user whose home is not known") from exc


def open_source(local: str, limit: int) -> Source | None:
    """The file that `local` names, or None for a folder; `-` is stdin.

    Stdin, and a pipe that this process was given open (`<(command)` of a shell), are read here, up
    to `limit` + 1 bytes. Raises `InvalidRequestError` when the file does not exist or cannot be
    sent: besides these only regular files and folders can.
    """
    path = expanded(local)
    if local == STDIN:
        return Source(path, _stdin(limit + 1))
    try:
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) and local.startswith(OPEN_FILES):
            # Unlike one with a name, it has had its writer already.
            with path.open("rb") as pipe:
                return Source(path, pipe.read(limit + 1))
    except FileNotFoundError as exc:
        raise InvalidRequestError(f"there is no file or folder {local!r} to send") from exc
    except OSError as exc:
        raise InvalidRequestError(f"the input {local!r} cannot be read: {exc.strerror}") from exc
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        raise InvalidRequestError(
            f"the input {local!r} {_kind(mode)}; only files and folders are sent. To send what a "
            "command prints, pipe it to stdin, which is the input '-'"
        )
    return Source(path)


def _stdin(size: int) -> bytes:
    """Up to `size` bytes of stdin; raises `InvalidRequestError` when it cannot be read."""
    if sys.stdin is None:
        raise InvalidRequestError("stdin is closed, so nothing can be sent as the input '-'")
    try:
        return sys.stdin.buffer.read(size)
    except OSError as exc:
        reason = "it is closed" if exc.errno == errno.EBADF else exc.strerror
        raise InvalidRequestError(f"stdin, the input '-', cannot be read: {reason}") from exc


def files_below(folder: Path, skip: Callable[[SkippedInput], None]) -> dict[str, Source]:
    """The files below `folder` by relative path, following symbolic links.

    Files that cannot be sent are passed to `skip`. Empty folders are included.
    """
    found: dict[str, Source] = {}
    # Each with the identities of its parent folders, to detect symbolic link loops.
    waiting = [(folder, "", frozenset({_identity(folder.stat())}))]
    while waiting:
        here, prefix, around = waiting.pop()
        is_empty = True
        for entry, status in _usable(here, skip):
            name, path = prefix + entry.name, Path(entry.path)
            if stat.S_ISREG(status.st_mode):
                found[name] = Source(path)
            elif _identity(status) in around:
                skip(SkippedInput(entry.path, "is a link to a folder that it is in"))
                continue
            else:
                waiting.append((path, f"{name}/", around | {_identity(status)}))
            is_empty = False
        if is_empty and prefix:
            found[prefix] = Source(here, is_folder=True)
    return dict(sorted(found.items()))


def _usable(
    folder: Path, skip: Callable[[SkippedInput], None]
) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """The files and folders directly in `folder`."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as exc:
        raise InvalidRequestError(f"the input {folder} cannot be read: {exc.strerror}") from exc
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:
            skip(SkippedInput(_shown(entry.path), "is a link that leads nowhere"))
            continue
        problem = _name_problem(entry.name) or _kind(status.st_mode)
        if problem:
            skip(SkippedInput(_shown(entry.path), problem))
        else:
            yield entry, status


def _name_problem(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    bad = path_problem(name)
    return f"has a name that {bad.reason}" if bad else ""


def _kind(mode: int) -> str:
    return next((words for test, words in KINDS if test(mode)), "")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
