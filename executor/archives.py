"""Zips in and out; an archive we are given is hostile until proven otherwise."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from compute_horde.errors import JobError
from compute_horde.vocabulary import FailureReason
from compute_horde.volumes import taint
from executor.workdir import OPEN_TO_JOB, open_inside

CHUNK_BYTES = 2**20
MAX_ENTRIES = 100_000
MAX_DEPTH = 100
MAX_DIRECTORY_BYTES = 64 * 2**20
# What each entry begins with in the directory, and the least that it takes there.
ENTRY_MARK = b"PK\x01\x02"
ENTRY_BYTES = 46
LOCAL_HEADER_BYTES = 30
MAX_ZIPPED_FILES = 1000
MAX_ZIPPED_DEPTH = 100
# lzma and bzip2 may ask for gigabytes of memory before the first byte comes out.
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# What `zipfile` may raise on bytes that are no zip.
UNSOUND = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)


class BadArchiveError(Exception):
    """The archive is broken, or asks for something it may not have."""


class Allowance:
    """Bytes and entries that may still be put in place, over all volumes of a job."""

    def __init__(self, limit: int, *, entries: int = MAX_ENTRIES) -> None:
        self._limit = limit
        self._entries_limit = entries
        self.left = limit
        self.entries_left = entries

    def take(self, count: int) -> None:
        """Use some; `BadArchiveError` when there is not enough left."""
        self.left -= count
        if self.left < 0:
            raise BadArchiveError(f"holds more than {self._limit} bytes unpacked")

    def take_entry(self) -> None:
        """One more file or folder; `BadArchiveError` when there are too many."""
        self.entries_left -= 1
        if self.entries_left < 0:
            raise BadArchiveError(f"has more than {self._entries_limit} entries")

    @property
    def used(self) -> int:
        """Bytes put in place so far."""
        return self._limit - self.left


class _Guarded:
    """A file of which no single read is big, so that a directory cannot fill our memory."""

    def __init__(self, file: IO[bytes], entries: int) -> None:
        self._file = file
        self._entries = entries
        self.seek = file.seek
        self.tell = file.tell

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        if count > MAX_DIRECTORY_BYTES:
            raise BadArchiveError("has too long a directory")
        data = self._file.read(MAX_DIRECTORY_BYTES if count < 0 else count)
        # A directory is read at once and becomes objects of ten times its size.
        is_big = len(data) > max(self._entries * ENTRY_BYTES, CHUNK_BYTES)
        if is_big and data.count(ENTRY_MARK) > self._entries:
            raise BadArchiveError(f"has more than {self._entries} entries")
        return data


def unpack(archive: IO[bytes], target: Path, allowance: Allowance) -> Iterator[None]:
    """Extract below `target`, in small steps; `BadArchiveError` for anything suspicious."""
    try:
        with zipfile.ZipFile(_Guarded(archive, allowance.entries_left)) as opened:
            entries = opened.infolist()
            _vet_together(entries)
            for entry in entries:
                _vet(entry)
                yield from _extract(opened, entry, target, allowance)
    except UNSOUND as exc:
        raise BadArchiveError(f"is not a sound zip: {exc}") from exc


def _vet_together(entries: list[zipfile.ZipInfo]) -> None:
    """No name twice, and no bytes in two entries, which is how a small zip becomes a huge one."""
    seen: set[str] = set()
    for entry in entries:
        if entry.filename in seen and not entry.is_dir():
            raise BadArchiveError(f"has an entry {entry.filename[:200]!r} twice")
        seen.add(entry.filename)
    end = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            raise BadArchiveError("has entries that overlap")
        end = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size


def _vet(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename.removesuffix("/")
    if not name:
        raise BadArchiveError("has an entry without a name")
    if bad := taint(name):
        raise BadArchiveError(f"has an entry {name[:200]!r} that {bad.reason}")
    if name.count("/") > MAX_DEPTH:
        raise BadArchiveError(f"has an entry in more than {MAX_DEPTH} folders")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise BadArchiveError(f"has an entry {name[:200]!r} that is a link or a device")
    if entry.flag_bits & 0x1:
        raise BadArchiveError("is encrypted, which nobody here can undo; zip it without a password")
    if entry.compress_type not in METHODS:
        raise BadArchiveError("uses a compression other than deflate; zip it without options")


def _extract(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path, allowance: Allowance
) -> Iterator[None]:
    path = root / entry.filename
    try:
        if entry.is_dir():
            make_folder(root, path, allowance)
            yield
            return
        make_folder(root, path.parent, allowance)
        allowance.take_entry()
        with archive.open(entry) as source, opened_for_job(path) as copy:
            while data := source.read(CHUNK_BYTES):
                allowance.take(len(data))
                copy.write(data)
                yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise BadArchiveError(f"has {entry.filename[:200]!r} both as file and folder") from exc


def make_folder(root: Path, folder: Path, allowance: Allowance) -> None:
    """`folder` and those above it up to `root`, open to the job."""
    missing = []
    while folder != root and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        allowance.take_entry()
        each.mkdir()
        each.chmod(OPEN_TO_JOB)


def opened_for_job(path: Path) -> BinaryIO:
    """An empty file that the job may read, change and run."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    made = os.open(path, flags, OPEN_TO_JOB)
    os.fchmod(made, OPEN_TO_JOB)
    return os.fdopen(made, "wb")


def pack(root: Path, target: IO[bytes], *, without: frozenset[str], limit: int) -> Iterator[None]:
    """Zip the regular files below `root`, in small steps; links and the like are left out."""
    total = 0
    names = list(_regular_files(root, without))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            with open_inside(root, name) as source, _entry(archive, name, source) as copy:
                while data := source.read(CHUNK_BYTES):
                    total += len(data)
                    if total > limit:
                        raise _too_much(f"the output holds more than {limit} bytes")
                    copy.write(data)
                    yield


def _entry(archive: zipfile.ZipFile, name: str, source: BinaryIO) -> IO[bytes]:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    # Tells zipfile whether the long form of the sizes will be needed.
    entry.file_size = os.fstat(source.fileno()).st_size
    return archive.open(entry, "w")


def _regular_files(root: Path, without: frozenset[str]) -> Iterator[str]:
    count = 0
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        if depth > MAX_ZIPPED_DEPTH:
            raise _too_much(f"the output is nested deeper than {MAX_ZIPPED_DEPTH} folders")
        for entry in sorted(os.scandir(root / folder), key=lambda found: found.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append((name, depth + 1))
            elif entry.is_file(follow_symlinks=False) and name not in without:
                count += 1
                if not name.isprintable():
                    raise _too_much(f"the output has a file with the name {ascii(name)[:200]}")
                if count > MAX_ZIPPED_FILES:
                    raise _too_much(f"the output holds more than {MAX_ZIPPED_FILES} files")
                yield name


def _too_much(detail: str) -> JobError:
    return JobError(FailureReason.UPLOAD_FAILED, f"Upload failed: {detail}")
