"""Downloads the files of a Hugging Face repository, a few at a time."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from executor.transfer import archives
from executor.transfer.archives import UnpackQuota
from executor.transfer.huggingface.repository import Repository
from executor.transfer.huggingface.request import HubFile, RepoLimits
from executor.transfer.resumable_download import Count

AT_ONCE = 4


class SnapshotTarget(NamedTuple):
    """The target folder below `root`, and the quota that is left for it."""

    root: Path
    target: Path
    quota: UnpackQuota


async def fetch(hub: Repository, place: SnapshotTarget, progress: Count) -> None:
    """Download the requested files of one repository; none if they are too large.

    Raises `WebError`, or `OSError` when the disk has too little space.
    """
    quota = place.quota
    files = await hub.listed(RepoLimits(quota.entries_left, quota.left))
    quota.take(sum(file.size for file in files))
    if sum(file.size for file in files) > shutil.disk_usage(place.root).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    archives.make_folder(place.root, place.target, quota)
    fetching = _Fetching(hub, place, progress, files)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(fetching.work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several


class _Fetching:
    """Downloads the files of one snapshot with several workers."""

    def __init__(
        self, hub: Repository, place: SnapshotTarget, progress: Count, files: list[HubFile]
    ) -> None:
        self._hub = hub
        self._place = place
        self._progress = progress
        self._total = sum(file.size for file in files)
        self._done = 0
        self._left: Iterator[HubFile] = iter(files)

    async def work(self) -> None:
        """Fetch one file after the other until none is left."""
        for file in self._left:
            await self._file(file)

    async def _file(self, file: HubFile) -> None:
        path = self._place.target / file.path
        archives.make_folder(self._place.root, path.parent, self._place.quota)
        self._place.quota.take_entry()
        so_far = 0

        def count(done: int, _: int | None) -> None:
            nonlocal so_far
            self._done += done - so_far
            so_far = done
            self._progress(self._done, self._total)

        with archives.create_for_job(path) as copy:
            await self._hub.fetch(file, copy, count)
