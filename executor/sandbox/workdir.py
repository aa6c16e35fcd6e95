"""A job's work directory: created, locked while its executor runs, read safely, removed."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import BinaryIO

OPEN_TO_JOB = 0o777
# The disk is full, or a quota is used up.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OWNER = "owner"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnsafePathError(OSError):
    """A path leads through a link, or to something other than a regular file."""


class WorkDir:
    """`ch-<executor_id>` below the work directory.

    The running executor holds a lock on it; an unlocked directory may be removed.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self.volume = path / "volume"
        self.output = path / "output"
        self.specs = path / "specs"
        self.artifacts = path / "artifacts"
        # Copies of the image's files at paths where a job gets file systems of its own.
        self.image_content = path / "image-content"
        self.scratch = path / "scratch"

    @classmethod
    def make(cls, parent: Path, executor_id: str, owner: str) -> "WorkDir":
        """Create and lock it, readable from outside the job by this process's user only.

        Raises `OSError` when other users could replace entries of `parent`.
        """
        parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        check_owner(parent)
        path = parent / f"ch-{executor_id}"
        path.mkdir(mode=0o700)
        lock = os.open(path, _FOLDER)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (path / _OWNER).write_text(owner)
        made = cls(path, lock)
        for shared in made.shared():
            shared.mkdir()
            shared.chmod(OPEN_TO_JOB)
        made.scratch.mkdir(mode=0o700)
        return made

    def shared(self) -> tuple[Path, ...]:
        """The directories that are mounted into the job, completely or in part."""
        return self.volume, self.output, self.specs, self.artifacts, self.image_content

    def remove(self) -> None:
        """Delete everything and release the lock."""
        remove(self.path)
        os.close(self._lock)


def check_owner(folder: Path) -> None:
    """Raise `UnsafePathError` unless only this process's user and root may change a directory.

    Any other user who owns it or may write to it could replace a job's directory.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafePathError(f"{folder} is not a directory, or a link")
    if status.st_uid not in {os.geteuid(), 0}:
        raise UnsafePathError(f"{folder} belongs to user {status.st_uid}, not to {os.geteuid()}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafePathError(f"{folder} may be written to by others: chmod go-w {folder}")


def remove(path: Path) -> None:
    """Delete a directory of any depth, also where the job removed permissions.

    Inner folders are moved to the top before they are emptied, so that no path is too long.
    """
    stuck: set[str] = set()
    with suppress(OSError):
        while folders := _folders(path) - stuck:
            stuck |= {name for name in folders if not _remove_folder(path / name, path)}
        for name in os.listdir(path):
            if name not in stuck:
                (path / name).unlink()
        path.rmdir()


def _folders(path: Path) -> set[str]:
    with os.scandir(path) as listing:
        return {entry.name for entry in listing if entry.is_dir(follow_symlinks=False)}


def _remove_folder(folder: Path, top: Path) -> bool:
    """Delete `folder` after moving its folders to `top`; whether that succeeded."""
    try:
        folder.chmod(0o700)
        for name in _folders(folder):
            # Moving a folder needs write permission on it.
            (folder / name).chmod(0o700)
            (folder / name).rename(top / f"lifted-{token_hex(8)}")
        for name in os.listdir(folder):
            (folder / name).unlink()
        folder.rmdir()
    except OSError:
        return False
    return True


def abandoned(parent: Path, owner: str) -> Iterator[str]:
    """The ids of this owner's executors that ended and left their directory."""
    for path in parent.glob("ch-*"):
        if _is_owned(path, owner) and not is_alive(path):
            yield path.name.removeprefix("ch-")


def _is_owned(path: Path, owner: str) -> bool:
    try:
        return (path / _OWNER).read_text() == owner
    except OSError:
        return False


def is_alive(path: Path) -> bool:
    """Whether a running executor holds the lock of the directory."""
    try:
        found = os.open(path, _FOLDER)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(found)
    return False


def open_inside(root: Path, relative_path: str) -> BinaryIO:
    """Open a regular file below `root` without following any link.

    Raises `OSError` for anything else.
    """
    *folders, name = PurePosixPath(relative_path).parts
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        return _open_regular(name, here)
    finally:
        os.close(here)


def _open_regular(name: str, folder: int) -> BinaryIO:
    opened = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise UnsafePathError(f"{name!r} is not a regular file")
    return os.fdopen(opened, "rb")


def replace_file(folder: Path, name: str) -> BinaryIO:
    """Open a new file for writing in a directory of the job; removes what had that name."""
    target = folder / name
    if target.is_dir() and not target.is_symlink():
        remove(target)
    else:
        target.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(target, flags, 0o666), "wb")


def used_bytes(folders: tuple[Path, ...], *, max_entries: int) -> int | None:
    """Disk bytes used below `folders`; None for over `max_entries` entries or too deep folders."""
    total, entries, pending = 0, 0, list(map(str, folders))
    linked: set[tuple[int, int]] = set()
    while pending:
        try:
            with os.scandir(pending.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entries > max_entries:
                        return None
                    total += _blocks(entry, linked) * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError as exc:
            if exc.errno == errno.ENAMETOOLONG:
                return None
            # The job may remove entries during the count.
            continue
    return total


def _blocks(entry: "os.DirEntry[str]", linked: set[tuple[int, int]]) -> int:
    """Disk blocks of an entry; 0 for a further hard link to a file in `linked`."""
    status = entry.stat(follow_symlinks=False)
    if status.st_nlink > 1:
        if (status.st_dev, status.st_ino) in linked:
            return 0
        linked.add((status.st_dev, status.st_ino))
    return status.st_blocks
