"""Tracks the images fetched for jobs: which are in use, when they were last used, which to remove.

The engine knows each by a name in a registry that cannot exist, which tells it from images of the
operator, which are never removed. Each name has a file that is locked while an executor uses the
image; its modification time is the last use. Executors that share a work directory share these
files; others use different names for the same image.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from compute_horde.image_names import ImageName
from executor.images.engine_images import EngineImage, EngineImages
from executor.images.pull_server import LOOPBACK, PREFIX

log = logging.getLogger(__name__)

FETCHED = "compute-horde.invalid"
LOOK_AGAIN_SECONDS = 0.2
KEY_LENGTH = 40


class ImageCache:
    """The images that the executors of one work directory fetched."""

    def __init__(self, work_dir: Path, owner: str) -> None:
        self._folder = work_dir / "images"
        ours = hashlib.sha256(f"{work_dir}\0{owner}".encode()).hexdigest()[:12]
        self._ours = ours
        self._prefix = f"{FETCHED}/{ours}/"

    def name_of(self, image: ImageName) -> str:
        """The engine's name for this image in the cache; tags and digests never share one."""
        kind = "digest" if image.digest else "tag"
        registry = image.registry.replace(":", "_")
        reference = image.digest.replace(":", "-") or image.tag
        return f"{self._prefix}{kind}/{registry}/{image.repository}:{reference}"

    def repository_for(self, name: str, secret: str) -> str:
        """The repository from which the engine pulls an image: contains its key and a secret."""
        return f"{PREFIX}-{self._ours}/{_key(name)}{secret}"

    async def hold(self, name: str) -> "Hold":
        """Protect the image with this name from removal and record its use."""
        path = self._file(name)
        return Hold(await self._locked(path, fcntl.LOCK_SH), path)

    def is_public(self, name: ImageName, image_id: str) -> bool:
        """Whether this image of the operator is recorded as public."""
        return self._public(name, image_id).exists()

    def mark_public(self, name: ImageName, image_id: str) -> None:
        """Record that this image of the operator is public."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._public(name, image_id).touch(mode=0o600)

    def _public(self, name: ImageName, image_id: str) -> Path:
        return self._file(f"{self.name_of(name)} {image_id}").with_suffix(".public")

    @asynccontextmanager
    async def fetching(self, name: str) -> AsyncIterator[None]:
        """Exclusive right to fetch an image; waits while another executor fetches the same one."""
        path = self._file(name).with_suffix(".fetch")
        lock = await self._locked(path, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    async def remove_least_used(self, images: EngineImages, enough: Callable[[], bool]) -> int:
        """Remove unused images, least recently used first, until `enough`; returns their number."""
        removed = 0
        ours = [one for one in await images.listed() if self._names(one)]
        for one in sorted(ours, key=self._last_used):
            if enough():
                break
            removed += await self._remove(images, one)
        return removed

    async def _remove(self, images: EngineImages, image: EngineImage) -> bool:
        with ExitStack() as closing:
            files = self._files(image)
            for file in files:
                lock = self._lock_at_once(file, fcntl.LOCK_EX)
                if lock is None:
                    return False
                closing.callback(os.close, lock)
            if not all([await images.remove(name) for name in self._names(image)]):
                return False
            for file in files:
                file.unlink(missing_ok=True)
        log.info("image removed", extra={"image": image.id, "names": self._names(image)})
        return True

    def _names(self, image: EngineImage) -> list[str]:
        """The image's names that belong to this cache, or were left by an interrupted fetch."""
        fetched = [name for name in image.names if name.startswith(self._prefix)]
        return fetched + [name for name in image.digests if self._fetch_key(name)]

    def _files(self, image: EngineImage) -> list[Path]:
        names = [self._file(name) for name in image.names if name.startswith(self._prefix)]
        keys = filter(None, map(self._fetch_key, image.digests))
        return names + [(self._folder / key).with_suffix(".fetch") for key in keys]

    def _fetch_key(self, digest: str) -> str:
        """The key of the fetch that left this digest; empty when it is not of this cache."""
        host, _, rest = digest.partition("/")
        owner, _, key = rest.partition("/")
        ours = host.startswith(f"{LOOPBACK}:") and owner == f"{PREFIX}-{self._ours}"
        return key[:KEY_LENGTH] if ours else ""

    def _last_used(self, image: EngineImage) -> float:
        return max((_modified_at(file) for file in self._files(image)), default=0)

    def _file(self, name: str) -> Path:
        return self._folder / _key(name)

    async def _locked(self, path: Path, how: int) -> int:
        """Lock a file between processes, by polling."""
        while True:
            lock = self._lock_at_once(path, how)
            if lock is not None:
                return lock
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _lock_at_once(self, path: Path, how: int) -> int | None:
        """Lock the file that is at this path; its descriptor, or None if it is locked already."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except OSError as exc:
                os.close(file)
                if isinstance(exc, BlockingIOError):
                    return None
                raise
            if os.fstat(file).st_ino == _inode(path):
                return file
            os.close(file)


class Hold:
    """Protects one image from removal while it is used."""

    def __init__(self, lock: int, path: Path) -> None:
        self._lock = lock
        self._path = path
        os.utime(lock, (time.time(), time.time()))

    def close(self, *, forget: bool = False) -> None:
        """End the protection; `forget` also removes the file, for an image that is not there."""
        if forget:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path.unlink(missing_ok=True)
            except BlockingIOError:
                log.debug("another executor uses the same image")
        os.close(self._lock)


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:KEY_LENGTH]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0
