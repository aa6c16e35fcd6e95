"""Keeps space free on the engine's disk while an image is fetched, by removing unused images."""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from compute_horde.errors import HordeError
from compute_horde.vocabulary import HordeReason
from executor.images.engine_images import EngineImages
from executor.images.image_cache import ImageCache

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
# A layer is on disk compressed and unpacked at once, and unpacks to about three times its size.
EXPECTED_GROWTH = 4
# The machine's root for an executor in a container that shares the machine's process namespace.
MACHINE_ROOT = Path("/proc/1/root")


@dataclass(frozen=True, slots=True)
class Space:
    """Total and free bytes of a file system."""

    total: int
    free: int

    @classmethod
    def at(cls, path: Path) -> "Space":
        """The present space of the file system at `path`."""
        stats = os.statvfs(path)
        return cls(stats.f_blocks * stats.f_frsize, stats.f_bavail * stats.f_frsize)


class EngineDisk:
    """The file system that the engine keeps images on."""

    def __init__(
        self, path: Path, images: EngineImages, cache: ImageCache, *, reserve: int, percent: int
    ) -> None:
        self._path = path
        self._images = images
        self._cache = cache
        self._reserve = reserve
        self._percent = percent

    async def make_room(self, size: int) -> None:
        """Remove unused images until an image of `size` compressed bytes is likely to fit.

        Raises `HordeError` when not even the compressed bytes fit.
        """
        await self._remove_until_below(self._percent, EXPECTED_GROWTH * size)
        if Space.at(self._path).free - size < self._reserve:
            raise _full()

    async def watch(self) -> None:
        """Remove unused images whenever the disk is nearly full; never returns.

        Raises `HordeError` when that frees too little.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if Space.at(self._path).free < self._reserve:
                await self._cache.remove_least_used(self._images, self._has_reserve)
                if not self._has_reserve():
                    raise _full()

    async def remove_unused(self) -> None:
        """Remove unused images while more of the disk is in use than the operator configured."""
        await self._remove_until_below(self._percent, 0)

    def _has_reserve(self) -> bool:
        return Space.at(self._path).free >= self._reserve

    async def _remove_until_below(self, percent: int, coming: int) -> None:
        def enough() -> bool:
            space = Space.at(self._path)
            left = space.free - coming
            return left >= self._reserve and 100 * (space.total - left) <= percent * space.total

        if not enough():
            await self._cache.remove_least_used(self._images, enough)


def visible_folder(root: Path, work_dir: Path) -> Path:
    """A folder on the engine's disk that the executor can see; `work_dir` if there is none."""
    inside = MACHINE_ROOT / root.relative_to("/")
    for path in (root, inside):
        try:
            os.statvfs(path)
        except OSError:
            continue
        return path
    return work_dir


def _full() -> HordeError:
    text = "the executor's disk has no room for the image"
    return HordeError(HordeReason.GENERIC_ERROR, text)
