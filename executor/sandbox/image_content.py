"""Copies an image's files at its volumes and scratch paths into the job's work directory.

A job gets file systems of its own at these paths, which would otherwise hide the image's files.
"""

import asyncio
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from executor.config import Config
from executor.sandbox import container_spec, engine_inputs
from executor.sandbox.container import Container
from executor.sandbox.engine import Engine, Image
from executor.sandbox.engine_faults import not_started
from executor.sandbox.image_files import Content, ImageFiles, ImageFilesCache, inspect, resolve_path
from executor.sandbox.resource_limits import ResourceLimits
from executor.sandbox.workdir import FULL, OPEN_TO_JOB, WorkDir
from executor.transfer.archives import BadArchiveError, UnpackQuota

CACHE_FOLDER = "image-files"
KEPT = "image-content.tar"
COPIED_BYTES = 2**20
READ_WRITE_TO_ALL = 0o666
EXECUTABLE = 0o777
# Raised by `tarfile` for an archive that is truncated or invalid.
ARCHIVE_ERRORS = (tarfile.TarError, EOFError, ValueError)

Hold = Callable[["asyncio.Task[Container]"], None]


async def prepare(
    image: Image,
    engine: Engine,
    work: WorkDir,
    config: Config,
    *,
    limits: ResourceLimits,
    executor_id: str,
    hold: Hold,
) -> ImageFiles:
    """Inspect the image and copy the files that a job needs into `work`.

    `hold` is called with the task that creates the inspected container, so that it is removed
    whatever happens. Raises `JobError` for an image that cannot be started safely, or holds more
    than a job may have.
    """
    user = container_spec.user_of(image, config, uid=os.getuid())
    engine_inputs.check(image, (), {}, user=user)
    cache = ImageFilesCache(config.work_dir / CACHE_FOLDER)
    known = await asyncio.to_thread(cache.load, image.id)
    wanted = _places(image, work, config, known, user)
    if known and not any(one.has_files for one, _ in wanted):
        await asyncio.to_thread(_make_folders, wanted)
        return known
    creating = asyncio.create_task(
        engine.create(
            container_spec.inspection_container_spec(image, config, executor_id=executor_id)
        )
    )
    hold(creating)
    container = await asyncio.shield(creating)
    if known is None:
        known = await inspect(container, container_spec.hidden_paths(image))
        known.check()
        await asyncio.to_thread(cache.save, image.id, known)
        wanted = _places(image, work, config, known, user)
    await asyncio.to_thread(_make_folders, wanted)
    quota = UnpackQuota(limits.disk, entries=limits.files)
    for one, folder in wanted:
        if one.has_files:
            await _copy(container, one.path, folder, work.scratch / KEPT, quota)
    await container.remove()
    return known


def _places(
    image: Image, work: WorkDir, config: Config, known: ImageFiles | None, user: str
) -> list[tuple[Content, Path]]:
    if known is None:
        return []
    contents = container_spec.contents_on_disk(image, config, known, user)
    return container_spec.content_folders(work, contents)


def _make_folders(wanted: list[tuple[Content, Path]]) -> None:
    """Create all known folders, writable by any user."""
    for one, folder in wanted:
        for inner in ("", *one.folders):
            made = folder / _checked_path(inner, folder)
            made.mkdir(exist_ok=True)
            made.chmod(OPEN_TO_JOB)


async def _copy(
    container: Container, path: str, folder: Path, kept: Path, quota: UnpackQuota
) -> None:
    """Copy what a container has below `path` into `folder`, through the file `kept`."""
    try:
        with kept.open("wb") as archive:
            async for piece in container.archive(await resolve_path(container, path)):
                quota.take(len(piece))
                await asyncio.to_thread(archive.write, piece)
        await asyncio.to_thread(_unpack, kept, folder, quota)
    except (BadArchiveError, OSError, *ARCHIVE_ERRORS) as exc:
        if isinstance(exc, OSError) and exc.errno in FULL:
            raise
        raise not_started(f"what the image has at {path[:200]!r} {exc}") from exc


def _unpack(kept: Path, folder: Path, quota: UnpackQuota) -> None:
    """Unpack folders, files and links, writable by any user; devices and FIFOs are left out.

    Nothing else writes to `folder` yet.
    """
    with tarfile.open(kept, mode="r:") as archive:
        for member in archive:
            if inner := member.name.partition("/")[2].rstrip("/"):
                quota.take_entry()
                _make(archive, member, folder / _checked_path(inner, folder), folder)
    kept.unlink()


def _checked_path(inner: str, folder: Path) -> PurePosixPath:
    """A path below `folder` through no link; raises `BadArchiveError` for any other."""
    path = PurePosixPath(inner)
    if path.is_absolute() or ".." in path.parts:
        raise BadArchiveError("leads out of its folder")
    parent = folder / path.parent
    if Path(os.path.realpath(parent)) != Path(os.path.realpath(folder)) / path.parent:
        raise BadArchiveError("leads through a link")
    return path


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, folder: Path) -> None:
    if member.isdir():
        target.mkdir(exist_ok=True)
        target.chmod(OPEN_TO_JOB)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = folder / _checked_path(member.linkname.partition("/")[2], folder)
        os.link(source, target, follow_symlinks=False)
    elif member.isreg():
        _write(archive.extractfile(member), target)
        executable = member.mode & 0o111
        target.chmod(EXECUTABLE if executable else READ_WRITE_TO_ALL)


def _write(source: IO[bytes] | None, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as copy:
        if source is not None:
            shutil.copyfileobj(source, copy, COPIED_BYTES)
