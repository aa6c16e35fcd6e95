"""Watches the disk usage of a running job and reports when it exceeds its limits."""

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from executor.sandbox import open_files
from executor.sandbox.container import Container
from executor.sandbox.resource_limits import ResourceLimits
from executor.sandbox.workdir import WorkDir, used_bytes

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
# The pause between checks is this many times the duration of a check, so that a job with many files
# cannot keep the executor busy.
REST_FACTOR = 10
# Free inodes of the disk below which a job that may have used them is stopped.
RESERVE_FILES = 10_000


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Free bytes and inodes of a file system; `files` is None where inodes are not limited."""

    bytes: int
    files: int | None

    @classmethod
    def at(cls, path: Path) -> "FreeSpace":
        """The present free space of the file system at `path`."""
        stats = os.statvfs(path)
        return cls(stats.f_bavail * stats.f_frsize, stats.f_favail if stats.f_files else None)


class DiskMonitor:
    """Checks one job's disk usage periodically; `most_pids` is the most processes seen at once."""

    def __init__(
        self,
        container: Container,
        work: WorkDir,
        limits: ResourceLimits,
        *,
        root: bool,
        reserve: int,
    ) -> None:
        self._container = container
        self._work = work
        self._limits = limits
        self._root = root
        self._reserve = reserve
        self._device = work.path.stat().st_dev
        self._before = FreeSpace.at(work.path)
        self.most_pids = 0

    async def wait_for_quota_exceeded(self) -> str:
        """Wait until the job uses more disk than its limit; returns the reason as a text.

        Raises `HordeError` when the disk is nearly full and this job may have filled it.
        """
        pause = CHECK_SECONDS
        while True:
            await asyncio.sleep(pause)
            self.most_pids = max(self.most_pids, await self._container.pids())
            root = await self._container.root_folder() if self._root else None
            written = 0
            if self._root and not (root and os.access(root, os.R_OK | os.X_OK)):
                root, written = None, await self._container.written_bytes()
            began = time.monotonic()
            if problem := await asyncio.to_thread(self._check, root, written):
                return problem
            pause = max(CHECK_SECONDS, REST_FACTOR * (time.monotonic() - began))

    async def visible_bytes(self) -> int:
        """Bytes in the job's folders now; its limit when they cannot be counted."""
        folders, most = self._work.shared(), self._limits.files
        used = await asyncio.to_thread(used_bytes, folders, max_entries=most)
        return self._limits.disk if used is None else used

    def _check(self, root: Path | None, written: int) -> str | None:
        limits = self._limits
        folders = (*self._work.shared(), *((root,) if root else ()))
        shown = used_bytes(folders, max_entries=limits.files)
        if shown is None:
            return f"Job container made more than {limits.files} files, or too deep folders"
        pids = open_files.processes(self._container.id)
        held = open_files.held_files(pids, self._device, most=limits.files)
        if held is None:
            return f"Job container held more than {limits.files} files open"
        if shown + written + held.bytes > limits.disk:
            text = f"Job container used more than {limits.disk} bytes of disk"
            return f"{text}, {held.bytes} in deleted files it held open" if held.bytes else text
        self._check_reserve(FreeSpace.at(self._work.path))
        return None

    def _check_reserve(self, now: FreeSpace) -> None:
        """Raise `HordeError` when the disk is nearly full, even if the job hides what it uses."""
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
