"""The only door to the container engine."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiodocker
import aiohttp
from aiodocker.stream import Stream
from yarl import URL

from compute_horde.errors import ContainerError, JobError
from executor import complaints
from executor.complaints import BAD_REQUEST
from executor.progress import Tell, silent
from executor.pulls import Layers

log = logging.getLogger(__name__)

OWNER = "compute_horde.owner"
EXECUTOR = "compute_horde.executor"
NOT_FOUND = 404
CONFLICT = 409
CONNECT_SECONDS = 10
GOING = frozenset({"removing", "dead", "removed"})


class EngineError(ContainerError):
    """The engine said no; `status` is its HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"container engine: {detail}")
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present on this machine."""

    id: str
    digest: str
    user: str
    env: tuple[str, ...]
    labels: dict[str, str]
    volumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A container to create; `host` is the engine's HostConfig."""

    name: str
    image: str
    command: list[str]
    env: list[str]
    user: str
    labels: dict[str, str]
    host: dict[str, Any] = field(default_factory=dict)


class Engine:
    """A connection to the engine of this machine."""

    def __init__(self, docker: aiodocker.Docker) -> None:
        self._docker = docker

    @classmethod
    async def connect(cls, url: str | None) -> Self:
        """Connected and asked for its version, so that the first job need not wait for that."""
        with _door():
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            try:
                engine = cls(aiodocker.Docker(url, timeout=timeout))
            except AssertionError as exc:
                raise ContainerError("no container engine found on this machine") from exc
        try:
            with _door():
                await engine._docker.version()
        except ContainerError:
            await engine.close()
            raise
        return engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._docker.close()

    async def security_options(self) -> list[str]:
        """What the engine confines containers with, such as `name=seccomp,profile=default`."""
        return list((await self._info()).get("SecurityOptions") or [])

    async def runtimes(self) -> list[str]:
        """The names of the runtimes it can start containers with, such as `runc`."""
        return sorted((await self._info()).get("Runtimes") or [])

    async def _info(self) -> dict[str, Any]:
        with _door():
            return dict(await self._docker.system.info())

    async def image(self, name: str) -> Image | None:
        """The image when it is present; `JobError` for a name that cannot be one."""
        complaints.check_name(name)
        try:
            with _door():
                found = await self._docker.images.inspect(name)
        except EngineError as exc:
            if exc.status == NOT_FOUND:
                return None
            if exc.status == BAD_REQUEST:
                raise complaints.no_image(name, exc.detail) from exc
            raise
        return _image(found)

    async def pull(self, name: str, tell: Tell = silent) -> None:
        """Fetch an image; `JobError` when there is none of that name for us.

        A registry in trouble is nobody's fault.
        """
        layers = Layers()
        try:
            with _door():
                async for news in self._docker.images.pull(name, stream=True):
                    if layers.learn(news):
                        tell(f"image {name}", layers.done, layers.total)
        except EngineError as exc:
            if fault := complaints.of_fetch(name, exc.status, exc.detail):
                raise fault from exc
            raise EngineError(exc.status, f"image {name!r} not fetched: {exc.detail}") from exc

    async def create(self, order: Order) -> "Container":
        """Make a container, not yet started; `JobError` when the order is at fault."""
        config = {
            "Image": order.image,
            "Cmd": order.command or None,
            "Env": order.env,
            "User": order.user,
            "Labels": order.labels,
            "AttachStdout": True,
            "AttachStderr": True,
            "HostConfig": order.host,
        }
        try:
            with _door():
                made = await self._docker.containers.create(config, name=order.name)
        except EngineError as exc:
            if fault := complaints.of_creation(exc.status, exc.detail):
                raise fault from exc
            raise
        return Container(self._docker, made.id)

    async def remove(self, *, label: str, value: str) -> int:
        """Kill and delete all containers with a label; how many there were."""
        found = await self.labelled(label, value)
        await asyncio.gather(*(self.container(one).remove() for one in found))
        return len(found)

    async def labelled(self, label: str, value: str) -> dict[str, str]:
        """Ids of the containers with a label, each with its executor."""
        wanted = json.dumps({"label": [f"{label}={value}"]})
        with _door():
            found = await self._docker.containers.list(all=True, filters=wanted)
        return {one.id: one["Labels"].get(EXECUTOR, "") for one in found}

    def container(self, container_id: str) -> "Container":
        """A handle for a container made earlier."""
        return Container(self._docker, container_id)


class Container:
    """One container, from its creation to its removal."""

    def __init__(self, docker: aiodocker.Docker, container_id: str) -> None:
        self.id = container_id
        self._docker = docker
        self._container = docker.containers.container(container_id)
        self._stream: Stream | None = None

    async def attach(self) -> None:
        """Open the way for its output; before the start, so that nothing is missed."""

        async def where() -> tuple[URL, bytes | None, bool]:
            query = {"stdout": "1", "stderr": "1", "stream": "1"}
            return URL(f"containers/{self.id}/attach").with_query(query), None, False

        self._stream = Stream(self._docker, where, aiohttp.ClientTimeout())
        with _door():
            await self._stream.__aenter__()

    async def start(self) -> None:
        """Run it; `JobError` when the command cannot be run."""
        try:
            with _door():
                await self._container.start()
        except EngineError as exc:
            if fault := complaints.of_start(exc.status, exc.detail):
                raise fault from exc
            raise

    async def output(self) -> AsyncIterator[tuple[bool, bytes]]:
        """Pieces of output until it ends, each with whether it is stderr."""
        if self._stream is None:
            return
        with _door():
            while (piece := await self._stream.read_out()) is not None:
                yield piece.stream == 2, piece.data

    async def exit_code(self) -> int:
        """Wait for its end."""
        with _door():
            ended = await self._container.wait()
        return int(ended["StatusCode"])

    async def was_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory; `EngineError` when
        somebody removes it, so that its exit code says nothing of the job."""
        state = (await self._shown()).get("State") or {"Status": "removed"}
        if state.get("Status") in GOING:
            raise EngineError(NOT_FOUND, "the job's container was removed by somebody else")
        return bool(state.get("OOMKilled"))

    async def written_bytes(self) -> int:
        """What it wrote to its own root file system."""
        return int((await self._shown(size="1")).get("SizeRw") or 0)

    async def root_folder(self) -> Path | None:
        """Where the engine keeps what it wrote to its own root; not each engine says."""
        kept = (await self._shown()).get("GraphDriver", {}).get("Data") or {}
        return Path(kept["UpperDir"]) if "UpperDir" in kept else None

    async def pids(self) -> int:
        """How many processes and threads it has now; 0 when nobody can say."""
        path = f"containers/{self.id}/stats"
        try:
            with _door():
                async with self._docker._query(
                    path, params={"stream": "false", "one-shot": "true"}
                ) as answer:
                    said = await answer.json()
        except EngineError:
            return 0
        return int((said.get("pids_stats") or {}).get("current") or 0)

    async def _shown(self, **how: str) -> dict[str, Any]:
        """What the engine says of it; nothing when somebody removed it."""
        try:
            with _door():
                return await self._container.show(**how)
        except EngineError as exc:
            if exc.status != NOT_FOUND:
                raise
            return {}

    async def remove(self) -> None:
        """Kill and delete it with all it wrote; harmless when it is gone already."""
        if self._stream is not None:
            # The client insists on a connection that the engine may have closed already.
            with suppress(AssertionError):
                await self._stream.close()
        try:
            with _door():
                await self._container.delete(force=True, v=True)
        except EngineError as exc:
            if exc.status not in {NOT_FOUND, CONFLICT}:
                raise

    async def kill(self) -> None:
        """End it now; harmless when it ended already."""
        try:
            with _door():
                await self._container.kill()
        except EngineError as exc:
            if exc.status not in {NOT_FOUND, CONFLICT}:
                raise


async def removed(creating: asyncio.Task[Container]) -> None:
    """Remove what is or was being made, unless the engine said that it made nothing."""
    try:
        container = await creating
    except JobError:
        return
    except EngineError as exc:
        if exc.status:
            return
        raise
    await container.remove()


def _image(found: dict[str, Any]) -> Image:
    config = found.get("Config") or {}
    return Image(
        id=found["Id"],
        digest=next(iter(found.get("RepoDigests") or []), found["Id"]),
        user=config.get("User") or "",
        env=tuple(config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        volumes=tuple(config.get("Volumes") or ()),
    )


@contextmanager
def _door() -> Iterator[None]:
    """The engine's refusals and silences in our words."""
    try:
        yield
    except aiodocker.DockerError as exc:
        raise EngineError(exc.status, exc.message) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise EngineError(0, f"it did not answer ({type(exc).__name__})") from exc


def tagged(name: str) -> str:
    """The name with `:latest` when it has neither tag nor digest; a port is no tag."""
    return name if "@" in name or ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
