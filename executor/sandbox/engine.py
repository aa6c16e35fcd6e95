"""The client of the container engine; no other module but those beside it talks to Docker."""

import asyncio
import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiodocker
import aiohttp

from compute_horde.errors import ContainerError
from executor.sandbox import engine_description, engine_faults
from executor.sandbox.container import NOT_FOUND, Container, EngineError, engine_errors
from executor.sandbox.engine_description import EngineDescription
from executor.sandbox.engine_faults import BAD_REQUEST

log = logging.getLogger(__name__)

OWNER = "compute_horde.owner"
EXECUTOR = "compute_horde.executor"
CONNECT_SECONDS = 10
API_VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present on this machine."""

    id: str
    digest: str
    user: str
    env: tuple[str, ...]
    labels: dict[str, str]
    volumes: tuple[str, ...]
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
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

    def __init__(
        self, docker: aiodocker.Docker, url: str | None, description_file: Path | None
    ) -> None:
        self._docker = docker
        self._url = url or ""
        self._description_file = description_file
        self._description: EngineDescription | None = None

    @classmethod
    async def connect(cls, url: str | None, description_file: Path | None = None) -> Self:
        """Connect and agree on the version of the API, so that the first job need not wait for it.

        With `description_file`, what the engine says of itself is remembered there for a minute.
        Raises `ContainerError` when there is no engine.
        """
        with engine_errors():
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            try:
                engine = cls(aiodocker.Docker(url, timeout=timeout), url, description_file)
            except AssertionError as exc:
                raise ContainerError("no container engine found on this machine") from exc
        try:
            with engine_errors():
                await _agree_on_version(engine._docker)
        except ContainerError:
            await engine.close()
            raise
        return engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def docker(self) -> aiodocker.Docker:
        """The client, for `executor.images.engine_images` alone."""
        return self._docker

    async def close(self) -> None:
        """Close the connection."""
        await self._docker.close()

    async def security_options(self) -> list[str]:
        """The engine's security options, such as `name=seccomp,profile=default`."""
        return (await self._described()).security_options

    async def runtimes(self) -> list[str]:
        """The names of the runtimes it can start containers with, such as `runc`."""
        return sorted((await self._described()).runtimes)

    async def default_runtime(self) -> tuple[str, str]:
        """The name and the program of the runtime of containers that request none."""
        description = await self._described()
        name = description.default_runtime
        return name, description.runtimes.get(name, "")

    async def components(self) -> dict[str, str]:
        """The version of each component, such as `runc`, as its distribution names it."""
        return (await self._described()).components

    async def _described(self) -> EngineDescription:
        if self._description is None:
            url = f"{self._url} {self._docker.docker_host}"
            self._description = await engine_description.remembered(
                self._description_file, url, self._describe
            )
        return self._description

    async def _describe(self) -> EngineDescription:
        with engine_errors():
            return EngineDescription.parse(
                await self._docker.version(), await self._docker.system.info()
            )

    async def image(self, name: str) -> Image | None:
        """The image; None if it is not on this machine. Raises `JobError` for an invalid name."""
        engine_faults.check_name(name)
        try:
            with engine_errors():
                found = await self._docker.images.inspect(name)
        except EngineError as exc:
            if exc.status == NOT_FOUND:
                return None
            if exc.status == BAD_REQUEST:
                raise engine_faults.image_error(name, exc.detail) from exc
            raise
        return _image(found)

    async def create(self, spec: ContainerSpec) -> "Container":
        """Create a container, not yet started; raises `JobError` when the job is at fault."""
        config = {
            "Image": spec.image,
            "Cmd": spec.command or None,
            "Env": spec.env,
            "User": spec.user,
            "Labels": spec.labels,
            # A health check of the image would run beside the job again and again.
            "Healthcheck": {"Test": ["NONE"]},
            "AttachStdout": True,
            "AttachStderr": True,
            "HostConfig": spec.host,
        }
        try:
            with engine_errors():
                made = await self._docker.containers.create(config, name=spec.name)
        except EngineError as exc:
            if fault := engine_faults.creation_error(exc.status, exc.detail):
                raise fault from exc
            raise
        container = Container(self._docker, made.id)
        await _check_mounts(container, spec)
        return container

    async def remove(self, *, label: str, value: str) -> int:
        """Kill and delete all containers with a label; returns their number."""
        found = await self.labelled(label, value)
        await asyncio.gather(*(self.container(one).remove() for one in found))
        return len(found)

    async def labelled(self, label: str, value: str) -> dict[str, str]:
        """The containers with a label: executor ids by container id."""
        wanted = json.dumps({"label": [f"{label}={value}"]})
        with engine_errors():
            found = await self._docker.containers.list(all=True, filters=wanted)
        return {one.id: one["Labels"].get(EXECUTOR, "") for one in found}

    def container(self, container_id: str) -> "Container":
        """The container with an id."""
        return Container(self._docker, container_id)


async def _agree_on_version(docker: aiodocker.Docker) -> None:
    """Set the version of the API to the engine's newest.

    The client would ask for the versions of all components instead, which costs the engine much
    more than a ping.
    """
    async with docker._query("_ping", versioned_api=False) as answer:
        offered = answer.headers.get("Api-Version", "")
    if API_VERSION.fullmatch(offered):
        docker.api_version = f"v{offered}"
    else:
        await docker.version()


async def _check_mounts(container: Container, spec: ContainerSpec) -> None:
    """Raise `JobError` and remove a container with unrequested mounts: these have no limit."""
    try:
        asked = {bind.split(":")[1] for bind in spec.host.get("Binds", ())}
        if more := await container.mount_points() - asked:
            raise engine_faults.unrequested_mounts(more)
    except BaseException:
        await asyncio.shield(container.remove())
        raise


def _image(found: dict[str, Any]) -> Image:
    config = found.get("Config") or {}
    return Image(
        id=found["Id"],
        digest=next(iter(found.get("RepoDigests") or []), found["Id"]),
        user=config.get("User") or "",
        env=tuple(config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        volumes=tuple(config.get("Volumes") or ()),
        names=tuple(found.get("RepoTags") or ()),
        digests=tuple(found.get("RepoDigests") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        working_dir=config.get("WorkingDir") or "",
        ports=tuple(config.get("ExposedPorts") or ()),
    )


def tagged(name: str) -> str:
    """The name with `:latest` when it has neither tag nor digest; a port is no tag."""
    return name if "@" in name or ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
