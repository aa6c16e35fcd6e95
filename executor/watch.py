"""Watches what a running job keeps on disk, and stops one that keeps too much."""

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from executor import openfiles
from executor.containers import Container
from executor.limits import Limits
from executor.workdir import WorkDir, used_bytes

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# Between two looks, as many times longer than a look took: a job cannot keep us busy.
REST = 10
# Free inodes of the disk below which a job is stopped that may have taken them.
RESERVE_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a file system; `files` is None where it has no fixed number."""

    bytes: int
    files: int | None

    @classmethod
    def at(cls, path: Path) -> "Room":
        """As it is now."""
        said = os.statvfs(path)
        return cls(said.f_bavail * said.f_frsize, said.f_favail if said.f_files else None)


class Watch:
    """Looks at one job's disk again and again."""

    def __init__(
        self, container: Container, work: WorkDir, limits: Limits, *, root: bool, reserve: int
    ) -> None:
        self._container = container
        self._work = work
        self._limits = limits
        self._root = root
        self._reserve = reserve
        self._device = work.path.stat().st_dev
        self._before = Room.at(work.path)
        self.most_pids = 0

    async def overdrawn(self) -> str:
        """Returns, and says why, only when the job has filled more disk than it may.

        `HordeError` when the disk is nearly full and nobody can say that this job did not do it.
        """
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            self.most_pids = max(self.most_pids, await self._container.pids())
            root = await self._container.root_folder() if self._root else None
            written = 0
            if self._root and not (root and os.access(root, os.R_OK | os.X_OK)):
                root, written = None, await self._container.written_bytes()
            began = time.monotonic()
            if said := await asyncio.to_thread(self._look, root, written):
                return said
            pause = max(LOOK_SECONDS, REST * (time.monotonic() - began))

    async def shown_bytes(self) -> int:
        """What its folders hold now; as much as it may where that cannot be counted."""
        folders, most = self._work.shared(), self._limits.files
        used = await asyncio.to_thread(used_bytes, folders, max_entries=most)
        return self._limits.disk if used is None else used

    def _look(self, root: Path | None, written: int) -> str | None:
        limits = self._limits
        folders = (*self._work.shared(), *((root,) if root else ()))
        shown = used_bytes(folders, max_entries=limits.files)
        if shown is None:
            return f"Job container made more than {limits.files} files, or too deep folders"
        pids = openfiles.processes(self._container.id)
        held = openfiles.held(pids, self._device, most=limits.files)
        if held is None:
            return f"Job container held more than {limits.files} files open"
        if shown + written + held.bytes > limits.disk:
            told = f"Job container used more than {limits.disk} bytes of disk"
            return f"{told}, {held.bytes} in deleted files it held open" if held.bytes else told
        self._spare(Room.at(self._work.path))
        return None

    def _spare(self, now: Room) -> None:
        """The last resort where a job can hide what it holds from us."""
        took = self._before.bytes - now.bytes
        if now.bytes < self._reserve and took > self._limits.disk:
            raise _full(f"{now.bytes} bytes are left, {took} less than when the job began")
        if self._before.files is None or now.files is None or not self._reserve:
            return
        made = self._before.files - now.files
        if now.files < RESERVE_FILES and made > self._limits.files:
            raise _full(f"{now.files} files are left, {made} less than when the job began")


def _full(detail: str) -> HordeError:
    return HordeError(HordeReason.GENERIC_ERROR, f"the executor's disk is nearly full: {detail}")
