"""The files of a Hugging Face repository are put in place, a few at a time."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from executor import archives
from executor.archives import Allowance
from executor.hub import Hub
from executor.resuming import Count
from executor.wanted import HubFile, Limits

AT_ONCE = 4


class Place(NamedTuple):
    """Where the files go, and what may still be put there."""

    root: Path
    target: Path
    allowance: Allowance


async def fetch(hub: Hub, place: Place, told: Count) -> None:
    """All that is wanted of one repository; nothing is fetched of one that is too large."""
    allowance = place.allowance
    files = await hub.listed(Limits(allowance.entries_left, allowance.left))
    allowance.take(sum(file.size for file in files))
    if sum(file.size for file in files) > shutil.disk_usage(place.root).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    archives.make_folder(place.root, place.target, allowance)
    fetching = _Fetching(hub, place, told, files)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(fetching.work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several


class _Fetching:
    """The files of one snapshot on their way."""

    def __init__(self, hub: Hub, place: Place, told: Count, files: list[HubFile]) -> None:
        self._hub = hub
        self._place = place
        self._told = told
        self._total = sum(file.size for file in files)
        self._done = 0
        self._left: Iterator[HubFile] = iter(files)

    async def work(self) -> None:
        """Fetch one file after the other until none is left."""
        for file in self._left:
            await self._file(file)

    async def _file(self, file: HubFile) -> None:
        path = self._place.target / file.path
        archives.make_folder(self._place.root, path.parent, self._place.allowance)
        self._place.allowance.take_entry()
        so_far = 0

        def count(done: int, _: int | None) -> None:
            nonlocal so_far
            self._done += done - so_far
            so_far = done
            self._told(self._done, self._total)

        with archives.opened_for_job(path) as copy:
            await self._hub.fetch(file, copy, count)
