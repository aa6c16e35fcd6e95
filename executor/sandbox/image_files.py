"""Inspects an image's files before a job runs on it, without running the image.

The image is inspected through a container that is never started. The findings are cached by the
image's id, as its files never change.
"""

import io
import json
import logging
import os
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex

from compute_horde.mount_paths import FORBIDDEN
from executor.sandbox.container import Container, EngineError, FileStat
from executor.sandbox.engine_faults import not_started

log = logging.getLogger(__name__)

# The engine reads these to find a job's user. It blocks for ever on a FIFO, and takes minutes for a
# huge file.
ACCOUNT_FILES = ("/etc", "/etc/passwd", "/etc/group")
ACCOUNT_MAX_BYTES = 2**20
# Where a job's own files are mounted, so that their content is not known yet.
MOUNTED = ("/volume", "/output", "/specs", "/script.py")
# How much of an archive is read to find out whether it holds any file.
PEEK_BYTES = 2**18
# Empty folders below one path that are cached, and created again for each job.
MAX_FOLDERS = 256
REMEMBERED = 1000
LAYOUT = 1


@dataclass(frozen=True, slots=True)
class Content:
    """The image's folder at a path where a job gets a file system of its own.

    `mode` are its permissions. Unless it `has_files`, `folders` are all its entries, as relative
    paths.
    """

    path: str
    mode: int = 0o777
    folders: tuple[str, ...] = ()
    has_files: bool = False

    def needs_disk(self, user: str) -> bool:
        """Whether a job of this user needs a copy on disk instead of an empty memory file system.

        Runtimes give a memory file system the permissions of the folder it replaces.
        """
        open_to_all = self.mode & 0o777 == 0o777
        # A memory file system can belong to a user whose number is known.
        may_own_it = self.mode & 0o700 == 0o700 and user.partition(":")[0].isdecimal()
        return self.has_files or bool(self.folders) or not (open_to_all or may_own_it)


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Findings: why the image cannot be used, and its folders that a job's mounts would hide."""

    problem: str = ""
    contents: tuple[Content, ...] = ()

    def check(self) -> None:
        """Raise `JobError` for an image that an engine cannot start safely."""
        if self.problem:
            raise not_started(self.problem)


async def inspect(container: Container, paths: Iterable[str]) -> ImageFiles:
    """Check the account files and list what the image has at `paths`."""
    for path in ACCOUNT_FILES:
        if problem := await _account_problem(container, path):
            return ImageFiles(problem=problem)
    contents = [found for path in paths if (found := await _content(container, path))]
    return ImageFiles(contents=tuple(contents))


async def _content(container: Container, path: str) -> Content | None:
    """The folder at a path; None where there is none."""
    found, where = await _resolve(container, path)
    if found is None or not found.is_folder or where == "/":
        return None
    names = await _folders_only(container, where)
    mode = found.mode & 0o777
    if names is None:
        return Content(path, mode, has_files=True)
    return Content(path, mode, tuple(names))


async def _resolve(container: Container, path: str) -> tuple[FileStat | None, str]:
    found = await container.stat(path)
    if found and found.target:
        return await container.stat(found.target), found.target
    return found, path


async def _account_problem(container: Container, path: str) -> str:
    try:
        found = await container.stat(path)
        end = await container.stat(found.target) if found and found.target else found
    except EngineError as exc:
        return f"the image's {path} cannot be looked at: {exc.detail[:200]}"
    target = PurePosixPath(found.target if found else "")
    if any(target.is_relative_to(mount) for mount in (*FORBIDDEN, *MOUNTED)):
        return f"the image's {path} leads to {str(target)[:200]!r}, which is not in the image"
    if end is None or (end.is_folder and path == "/etc"):
        return ""
    if not end.is_regular or path == "/etc":
        return f"the image's {path} is not a regular file"
    if end.size > ACCOUNT_MAX_BYTES:
        return f"the image's {path} has more than {ACCOUNT_MAX_BYTES} bytes"
    return ""


async def resolve_path(container: Container, path: str) -> str:
    """The path itself, or the target of a link at it."""
    return (await _resolve(container, path))[1]


async def _folders_only(container: Container, path: str) -> list[str] | None:
    """The folders below `path`; None when there are other entries or too many folders."""
    read = bytearray()
    async for piece in container.archive(path):
        read += piece
        if len(read) > PEEK_BYTES:
            return None
    names = []
    with tarfile.open(fileobj=io.BytesIO(read), mode="r:") as listing:
        for member in listing:
            inner = member.name.partition("/")[2].rstrip("/")
            if not member.isdir():
                return None
            if inner:
                names.append(inner)
    return names if len(names) <= MAX_FOLDERS else None


class ImageFilesCache:
    """Caches the findings about images, one small file for each in a directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, image_id: str) -> ImageFiles | None:
        """The cached findings about an image; None when there are none."""
        try:
            data = json.loads(self._path(image_id).read_bytes())
            if data.pop("layout") != LAYOUT:
                return None
            contents = [
                Content(one["path"], one["mode"], tuple(one["folders"]), one["has_files"])
                for one in data["contents"]
            ]
            return ImageFiles(data["problem"], tuple(contents))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            log.warning("cached image findings unreadable, ignored", extra={"problem": str(exc)})
            return None

    def save(self, image_id: str, found: ImageFiles) -> None:
        """Cache the findings; a failure to write is only logged."""
        path = self._path(image_id)
        fresh = path.with_name(f"{token_hex(8)}.new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(asdict(found) | {"layout": LAYOUT}))
            fresh.replace(path)
            self._evict()
        except OSError as exc:
            log.warning("image findings not cached", extra={"problem": str(exc)})

    def _evict(self) -> None:
        """Drop the oldest half once there are too many."""
        with os.scandir(self._folder) as listing:
            there = [(entry.stat().st_mtime, entry.path) for entry in listing]
        if len(there) > REMEMBERED:
            for _, path in sorted(there)[: len(there) // 2]:
                Path(path).unlink(missing_ok=True)

    def _path(self, image_id: str) -> Path:
        return self._folder / f"{image_id.replace(':', '-').replace('/', '-')}.json"
