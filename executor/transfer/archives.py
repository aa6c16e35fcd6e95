"""Unpacks and creates zip archives; archives of jobs are treated as hostile."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from compute_horde.errors import JobError
from compute_horde.faults import JobCause
from compute_horde.vocabulary import FailureReason
from compute_horde.volumes import path_problem
from executor.sandbox.workdir import OPEN_TO_JOB, open_inside
from executor.transfer import zip_names

UNPACK_CHUNK_BYTES = 2**20
MAX_ENTRIES = 100_000
MAX_DEPTH = 100
MAX_DIRECTORY_BYTES = 64 * 2**20
# The signature of an entry in the central directory, and its least size there.
ENTRY_MARK = b"PK\x01\x02"
ENTRY_BYTES = 46
LOCAL_HEADER_BYTES = 30
MAX_ZIPPED_FILES = 1000
MAX_ZIPPED_DEPTH = 100
# lzma and bzip2 may need gigabytes of memory before the first byte is decompressed.
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# Raised by `zipfile` for bytes that are no zip.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)
# The system of a zip entry whose attributes hold a mode.
UNIX = 3
# What Python's `zipfile` sets for content that came from no file.
UNSPECIFIED_MODE = 0o600


class BadArchiveError(Exception):
    """The archive is broken, or contains something that is not allowed."""


class UnpackQuota:
    """The bytes and entries that all volumes of a job may still have, unpacked."""

    def __init__(self, limit: int, *, entries: int = MAX_ENTRIES) -> None:
        self._limit = limit
        self._entries_limit = entries
        self.left = limit
        self.entries_left = entries

    def take(self, count: int) -> None:
        """Use `count` bytes; raises `BadArchiveError` when too few are left."""
        self.left -= count
        if self.left < 0:
            raise BadArchiveError(f"holds more than {self._limit} bytes unpacked")

    def take_entry(self) -> None:
        """Use one entry, a file or folder; raises `BadArchiveError` when none is left."""
        self.entries_left -= 1
        if self.entries_left < 0:
            raise BadArchiveError(f"has more than {self._entries_limit} entries")

    @property
    def used(self) -> int:
        """Bytes used so far."""
        return self._limit - self.left


class _BoundedReader:
    """A file for `zipfile` that limits each read, so that a zip's directory cannot fill the memory.

    While the directory is read, the UTF-8 flag is cleared from names that are not UTF-8: `zipfile`
    would refuse the whole archive for one of them. With `clears_flag`, it is also cleared from the
    next local header.
    """

    def __init__(self, file: IO[bytes], entries: int) -> None:
        self._file = file
        self._entries = entries
        self.is_listing = True
        self.clears_flag = False
        self.seek = file.seek
        self.tell = file.tell

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        if count > MAX_DIRECTORY_BYTES:
            raise BadArchiveError("has too long a directory")
        data = self._file.read(MAX_DIRECTORY_BYTES if count < 0 else count)
        # `zipfile` reads the directory at once and makes objects of ten times its size.
        is_big = len(data) > max(self._entries * ENTRY_BYTES, UNPACK_CHUNK_BYTES)
        if is_big and data.count(ENTRY_MARK) > self._entries:
            raise BadArchiveError(f"has more than {self._entries} entries")
        if self.is_listing:
            return zip_names.without_false_flags(data)
        if self.clears_flag and count == LOCAL_HEADER_BYTES:
            self.clears_flag = False
            return zip_names.without_flag(data)
        return data


def unpack(archive: IO[bytes], target: Path, quota: UnpackQuota) -> Iterator[None]:
    """Extract below `target`, in small steps; raises `BadArchiveError` for anything suspicious."""
    try:
        guarded = _BoundedReader(archive, quota.entries_left)
        with zipfile.ZipFile(guarded) as opened:
            guarded.is_listing = False
            entries = opened.infolist()
            names = [zip_names.name_of(entry) for entry in entries]
            _check_entries(entries, names)
            for entry, name in zip(entries, names, strict=True):
                _check_entry(entry, name)
                # The local header gets the flag of the directory.
                guarded.clears_flag = not entry.flag_bits & zip_names.UTF8_FLAG
                yield from _extract(opened, entry, target / name, target, quota)
    except ZIP_ERRORS as exc:
        raise BadArchiveError(f"is not a sound zip: {exc}") from exc


def _check_entries(entries: list[zipfile.ZipInfo], names: list[str]) -> None:
    """Raise `BadArchiveError` for repeated names and for overlapping entries (zip bombs)."""
    seen: set[str] = set()
    for name in names:
        if name in seen and not name.endswith("/"):
            raise BadArchiveError(f"has an entry {name[:200]!a} twice")
        seen.add(name)
    end = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            raise BadArchiveError("has entries that overlap")
        end = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    name = name.removesuffix("/")
    if not name:
        raise BadArchiveError("has an entry without a name")
    if bad := path_problem(name):
        raise BadArchiveError(f"has an entry {name[:200]!a} that {bad.reason}")
    if name.count("/") > MAX_DEPTH:
        raise BadArchiveError(f"has an entry in more than {MAX_DEPTH} folders")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise BadArchiveError(f"has an entry {name[:200]!a} that is a link or a device")
    if entry.flag_bits & 0x1:
        raise BadArchiveError("is encrypted; zip it without a password")
    if entry.compress_type not in METHODS:
        raise BadArchiveError("uses a compression other than deflate; zip it without options")


def _extract(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    path: Path,
    root: Path,
    quota: UnpackQuota,
) -> Iterator[None]:
    try:
        if entry.is_dir():
            make_folder(root, path, quota)
            yield
            return
        make_folder(root, path.parent, quota)
        quota.take_entry()
        runs = _is_executable(entry)
        with archive.open(entry) as source, create_for_job(path, is_executable=runs) as copy:
            while data := source.read(UNPACK_CHUNK_BYTES):
                quota.take(len(data))
                copy.write(data)
                yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        name = ascii(str(path.relative_to(root))[:200])
        raise BadArchiveError(f"has {name} both as file and folder") from exc


def _is_executable(entry: zipfile.ZipInfo) -> bool:
    """Whether a file is a program; every file is where the archive does not say."""
    mode = entry.external_attr >> 16
    if entry.create_system != UNIX or mode in {0, UNSPECIFIED_MODE}:
        return True
    return bool(mode & 0o111)


def make_folder(root: Path, folder: Path, quota: UnpackQuota) -> None:
    """Create `folder` and its parents below `root`, writable by the job."""
    missing = []
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        quota.take_entry()
        each.mkdir()
        each.chmod(OPEN_TO_JOB)


def create_for_job(path: Path, *, is_executable: bool = True) -> BinaryIO:
    """An empty file that the job may read and change, and run if it `is_executable`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = OPEN_TO_JOB if is_executable else OPEN_TO_JOB & ~0o111
    made = os.open(path, flags, mode)
    os.fchmod(made, mode)
    return os.fdopen(made, "wb")


# Called with the name, the size in bytes and the reason of a file that is left out.
LeaveOut = Callable[[str, int | None, str], None]


def pack(
    root: Path,
    target: IO[bytes],
    *,
    without: frozenset[str],
    limit: int,
    leave_out: LeaveOut = lambda name, size, why: None,
) -> Iterator[None]:
    """Zip the regular files below `root`, in small steps.

    Links, devices, and names that no zip can hold or that are dangerous to unpack are left out and
    reported to `leave_out`. Raises `JobError` for an output over the limits.
    """
    total = 0
    names = list(_regular_files(root, without, leave_out))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            with open_inside(root, name) as source, _entry(archive, name, source) as copy:
                while data := source.read(UNPACK_CHUNK_BYTES):
                    total += len(data)
                    if total > limit:
                        raise bad_output(f"the output holds more than {limit} bytes")
                    copy.write(data)
                    yield


def _entry(archive: zipfile.ZipFile, name: str, source: BinaryIO) -> IO[bytes]:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    # From this, zipfile decides whether to use zip64 sizes.
    entry.file_size = os.fstat(source.fileno()).st_size
    return archive.open(entry, "w")


def _regular_files(root: Path, without: frozenset[str], leave_out: LeaveOut) -> Iterator[str]:
    count = 0
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        if depth > MAX_ZIPPED_DEPTH:
            raise bad_output(f"the output is nested deeper than {MAX_ZIPPED_DEPTH} folders")
        for entry in sorted(os.scandir(root / folder), key=lambda found: found.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append((name, depth + 1))
            elif name in without:
                continue
            elif why := _left_out_reason(entry, name):
                leave_out(name, entry.stat(follow_symlinks=False).st_size, why)
            else:
                count += 1
                if count > MAX_ZIPPED_FILES:
                    raise bad_output(f"the output holds more than {MAX_ZIPPED_FILES} files")
                yield name


def _left_out_reason(entry: "os.DirEntry[str]", name: str) -> str | None:
    """Why a file is left out of a zip; None if it is not."""
    if not entry.is_file(follow_symlinks=False):
        return "it is a link or a device, not a regular file"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    bad = path_problem(name)
    return f"its name {bad.reason}; rename it" if bad else None


def bad_output(detail: str) -> JobError:
    """The error for an output that cannot be sent as the job left it."""
    context = JobCause.BAD_OUTPUT.context
    return JobError(FailureReason.UPLOAD_FAILED, f"Upload failed: {detail}", context=context)
