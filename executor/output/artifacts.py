"""Artifacts: small files that are sent within the job's result."""

import base64
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from compute_horde.protocol import left_out_notes
from compute_horde.protocol.left_out import MAX_NAME_CHARACTERS, LeftOut, listed
from executor.sandbox.workdir import open_inside

# An artifact is smaller than this.
LIMIT_BYTES = 1_000_000
# All artifacts as base64, with their names; the same frame must also hold the logs.
TOTAL_CHARS = 30 * 2**20
MAX_ENTRIES = 10_000
REMEDY = "use an output upload"


class Artifacts(NamedTuple):
    """The artifacts by path as base64, and the files that are left out."""

    files: dict[str, str]
    left_out: tuple[LeftOut, ...]

    def note(self) -> str:
        """A text for the end of the job's stderr; empty when nothing is left out."""
        return left_out_notes.of_left_out(self.left_out)


def collect(folder: Path, artifacts_dir: str | None, others: Iterable[LeftOut] = ()) -> Artifacts:
    """The small regular files directly inside `folder`, by their path in the container.

    Files are taken in order of their names while they fit into `TOTAL_CHARS`. `others` are files
    left out elsewhere.
    """
    if not artifacts_dir:
        return Artifacts({}, listed(others))
    collecting = _Collecting(folder, artifacts_dir.rstrip("/"))
    for entry in collecting.entries():
        collecting.take(entry)
    return Artifacts(collecting.files, listed((*collecting.left_out, *others)))


class _Collecting:
    """Collects the artifacts of one job."""

    def __init__(self, folder: Path, artifacts_dir: str) -> None:
        self._folder = folder
        self._artifacts_dir = artifacts_dir
        self._room = TOTAL_CHARS
        # Entries below sub-folders that may still be counted.
        self._looks = MAX_ENTRIES
        self.files: dict[str, str] = {}
        self.left_out: list[LeftOut] = []

    def entries(self) -> Iterator["os.DirEntry[str]"]:
        """The first `MAX_ENTRIES` entries of the folder, by name."""
        with os.scandir(self._folder) as listing:
            found = [entry for entry, _ in zip(listing, range(MAX_ENTRIES + 1), strict=False)]
        if len(found) > MAX_ENTRIES:
            why = f"only {MAX_ENTRIES} files are looked at; {REMEDY}"
            self.left_out.append(LeftOut(name="", why=why))
        yield from sorted(found[:MAX_ENTRIES], key=lambda entry: entry.name)

    def take(self, entry: "os.DirEntry[str]") -> None:
        """Take one file, or record why it is left out."""
        try:
            if entry.is_dir(follow_symlinks=False):
                self._leave_folder(entry)
                return
            size = entry.stat(follow_symlinks=False).st_size
            if not entry.is_file(follow_symlinks=False):
                self._leave(entry.name, None, "it is a link or a device, not a regular file")
            elif size >= LIMIT_BYTES:
                why = f"a file may have {LIMIT_BYTES - 1:,} bytes; {REMEDY}"
                self._leave(entry.name, size, why)
            else:
                self._read(entry.name, size)
        except OSError as exc:
            self._leave(entry.name, None, f"it cannot be read ({exc.strerror or exc})")

    def _read(self, name: str, size: int) -> None:
        try:
            name.encode()
        except UnicodeEncodeError:
            self._leave(name, size, "its name is not UTF-8; rename it")
            return
        path = f"{self._artifacts_dir}/{name}"
        # Four characters of base64 for each three bytes.
        needed = (size + 2) // 3 * 4 + len(json.dumps(path))
        if needed > self._room:
            why = f"all artifacts together may have {TOTAL_CHARS:,} bytes as base64; {REMEDY}"
            self._leave(name, size, why)
            return
        with open_inside(self._folder, name) as file:
            data = file.read(size + 1)
        if len(data) > size:
            raise OSError(0, "it changed while it was read")
        self._room -= needed
        self.files[path] = base64.b64encode(data).decode()

    def _leave_folder(self, entry: "os.DirEntry[str]") -> None:
        count, size = self._measured(entry.path)
        if count:
            why = f"{count} files in a folder: only files directly in {self._artifacts_dir} travel"
            self._leave(f"{entry.name}/", size, f"{why}; {REMEDY}")

    def _measured(self, folder: str) -> tuple[int, int]:
        """The number of files below a folder and their bytes, up to the counting limit."""
        count = size = 0
        pending = [folder]
        while pending:
            with os.scandir(pending.pop()) as listing:
                for entry in listing:
                    if self._looks == 0:
                        return max(count, 1), size
                    self._looks -= 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        count += 1
                        size += entry.stat(follow_symlinks=False).st_size
        return count, size

    def _leave(self, name: str, size: int | None, why: str) -> None:
        path = f"{self._artifacts_dir}/{name}".encode("utf-8", "backslashreplace").decode()
        self.left_out.append(LeftOut(name=path[:MAX_NAME_CHARACTERS], size=size, why=why[:500]))
