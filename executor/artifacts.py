"""Small files that travel with the result (protocol §8.5)."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from executor.workdir import open_inside

# An artifact is smaller than this.
LIMIT_BYTES = 1_000_000
# Of all artifacts as base64, with their names: the frame they travel in has room for the logs, too.
TOTAL_CHARS = 30 * 2**20
MAX_ENTRIES = 10_000
NOTED = 20


class Artifacts(NamedTuple):
    """What is returned, and a line for each thing that is not."""

    files: dict[str, str]
    left_out: list[str]

    def note(self) -> str:
        """For the end of the job's stderr; empty when nothing was left out."""
        if not self.left_out:
            return ""
        lines = [f"[artifact left out: {line}]" for line in self.left_out[:NOTED]]
        if more := len(self.left_out) - NOTED:
            lines += [f"[and {more} more]"] if more > 0 else []
        return "\n" + "\n".join(lines) + "\n"


def collect(folder: Path, artifacts_dir: str | None) -> Artifacts:
    """The small regular files directly inside `folder`, by their path in the container."""
    found = Artifacts({}, [])
    if not artifacts_dir:
        return found
    room = TOTAL_CHARS
    for entry in _entries(folder, found.left_out):
        data = _content(folder, entry, found.left_out)
        if data is None:
            continue
        name = f"{artifacts_dir.rstrip('/')}/{entry.name}"
        room -= len(data) + len(json.dumps(name))
        if room < 0:
            found.left_out.append(f"{entry.name!r}, all together are over {TOTAL_CHARS} bytes")
            break
        found.files[name] = data
    return found


def _entries(folder: Path, left_out: list[str]) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as listing:
        entries = [entry for entry, _ in zip(listing, range(MAX_ENTRIES + 1), strict=False)]
    if len(entries) > MAX_ENTRIES:
        left_out.append(f"everything after the first {MAX_ENTRIES} files")
    yield from sorted(entries[:MAX_ENTRIES], key=lambda entry: entry.name)


def _content(folder: Path, entry: "os.DirEntry[str]", left_out: list[str]) -> str | None:
    name = entry.name
    if not entry.is_file(follow_symlinks=False):
        left_out.append(f"{name!r} is not a regular file")
        return None
    try:
        name.encode()
        with open_inside(folder, name) as file:
            data = file.read(LIMIT_BYTES)
    except (OSError, UnicodeEncodeError) as exc:
        left_out.append(f"{name!r} cannot be read ({type(exc).__name__})")
        return None
    if len(data) >= LIMIT_BYTES:
        left_out.append(f"{name!r} has {entry.stat().st_size} bytes, 999999 are allowed")
        return None
    return base64.b64encode(data).decode()
