"""The engine's API for images; `executor.sandbox.engine` has the rest of the API."""

import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker
from aiodocker.jsonstream import json_stream_stream

from executor.images.errors import ImageError
from executor.images.manifests import Platform
from executor.images.pull_progress import Layers
from executor.sandbox.container import CONFLICT, NOT_FOUND, EngineError, engine_errors
from executor.sandbox.engine import Engine

log = logging.getLogger(__name__)

MAX_LOGGED = 1000
# The end of the engine's error text when the machine is at fault; what comes before may contain
# names of files of the image.
MACHINE = re.compile(
    r"(no space left on device|disk quota exceeded|input/output error|read-only file system"
    r"|too many open files|cannot allocate memory|connection refused|i/o timeout)\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image on this machine, with its names by tag and by digest."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]


class EngineImages:
    """The images of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._docker = engine.docker

    async def pull(self, name: str, count: Callable[[int, int], None]) -> None:
        """Let the engine pull an image; `count` gets the bytes so far and in total.

        Raises `ImageError` when the engine cannot use the image, `EngineError` when the engine or
        the machine fails. When this is cancelled, the engine drops what it has.
        """
        layers = Layers()
        try:
            with engine_errors():
                async with aclosing(self._pull_events(name)) as events:
                    async for one in events:
                        if layers.update(one):
                            count(layers.done, layers.total)
        except EngineError as exc:
            if not isinstance(exc.__cause__, aiodocker.DockerError):
                raise
            log.warning("image not taken by the engine", extra={"problem": exc.detail[:MAX_LOGGED]})
            if found := MACHINE.search(exc.detail[-100:]):
                raise EngineError(exc.status, f"it cannot take the image: {found[1]}") from exc
            raise ImageError("the container engine cannot unpack it") from exc

    async def _pull_events(self, name: str) -> AsyncGenerator[Any, None]:
        """The engine's events of a pull.

        Closes the connection at the end, by which the engine notices a cancelled pull; the
        client's own method leaves it open.
        """
        asking = self._docker._query("images/create", "POST", params={"fromImage": name})
        async with asking as response:
            try:
                async for one in json_stream_stream(response):
                    yield one
            finally:
                response.close()

    async def import_image(self, root: bytes, change: str) -> str:
        """Create an unnamed image from a tar of its files and a Dockerfile line; returns its id."""
        query = {"fromSrc": "-", "changes": change}
        status = ""
        with engine_errors():
            asking = self._docker._query(
                "images/create",
                "POST",
                params=query,
                data=root,
                headers={"Content-Type": "application/x-tar"},
            )
            async with asking as response:
                async for one in json_stream_stream(response):
                    status = str(one.get("status") or status)
        if not status.startswith("sha256:"):
            raise EngineError(0, "it did not import an image")
        return status

    async def tag(self, image_id: str, name: str) -> None:
        """Give an image a name of the form `repository:tag`."""
        repository, _, tag = name.rpartition(":")
        with engine_errors():
            await self._docker.images.tag(image_id, repository, tag=tag)

    async def remove(self, name: str) -> bool:
        """Remove a name of an image and, with its last name, the image; whether it is gone.

        An image that a container uses stays.
        """
        try:
            with engine_errors():
                await self._docker.images.delete(name)
        except EngineError as exc:
            if exc.status not in {NOT_FOUND, CONFLICT}:
                raise
            return exc.status == NOT_FOUND
        return True

    async def listed(self) -> list[EngineImage]:
        """All images of the engine."""
        with engine_errors():
            found = await self._docker.images.list()
        return [
            EngineImage(
                one["Id"], tuple(one.get("RepoTags") or ()), tuple(one.get("RepoDigests") or ())
            )
            for one in found
        ]

    async def platform(self) -> Platform:
        """The platform of the engine's containers."""
        with engine_errors():
            version = await self._docker.version()
        return Platform(str(version.get("Os")), str(version.get("Arch")))

    async def root(self) -> Path:
        """The engine's data folder on its machine, where it stores images."""
        with engine_errors():
            return Path(str((await self._docker.system.info()).get("DockerRootDir") or "/"))
