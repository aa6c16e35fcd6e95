"""Executors in containers: on the local engine, or one on each of several servers."""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_horde.errors import ContainerError
from compute_horde.hardware import PROMISES, ExecutorClass
from miner.executors import servers
from miner.executors.docker import EXECUTOR, OWNER, ROLE, Engine
from miner.executors.manager import ExecutorManager, OnExit, Setting, executor_id
from miner.executors.servers import Server
from miner.executors.tunnel import Tunnel

log = logging.getLogger(__name__)

SOCKET = "/var/run/docker.sock"


@dataclass(slots=True, eq=False)
class Place:
    """A machine for one executor at a time, or the local engine for any number."""

    name: str
    engine: Engine
    server: Server | None = None
    tunnel: Tunnel | None = None
    used_by: str | None = None

    @property
    def executor_class(self) -> ExecutorClass | None:
        """The one class it is for; None: any."""
        return self.server.executor_class if self.server else None


class DockerManager(ExecutorManager):
    """Each executor is a container of the executor image with the engine's socket in it."""

    def __init__(self, setting: Setting, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self._places = self._all_places()
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._where: dict[str, Place] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}

    def manifest(self) -> Mapping[ExecutorClass, int]:
        """One executor per server of the file; without a file, the counts of the settings."""
        if self.setting.docker_servers is None:
            return self.setting.counts
        return Counter(place.executor_class for place in self._places if place.executor_class)

    async def open(self) -> None:
        """Reach every server and remove leftovers of an earlier life there."""
        self._sockets = tempfile.TemporaryDirectory(prefix="ch-docker-")
        for number, place in enumerate(self._places):
            self._tunnel(place, Path(self._sockets.name) / f"{number}.sock")
        await asyncio.gather(*(self._open_place(place) for place in self._places))

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Run the executor image on a free machine of the class."""
        place = self._free(executor_class)
        self._where[token] = place
        if place.executor_class:
            place.used_by = token
        try:
            if place.tunnel:
                await place.tunnel.up()
            await place.engine.run(_name(token), self._options(token, executor_class))
        except ContainerError:
            self._forget(token)
            raise
        self._watchers[token] = asyncio.create_task(self._watch(token, place))

    async def kill(self, token: str) -> None:
        """Remove the executor's container and its job's."""
        if place := self._where.get(token):
            await place.engine.remove_all({EXECUTOR: executor_id(token)})
            self._forget(token)

    def public_address(self, token: str) -> str | None:
        """The server's own address."""
        place = self._where.get(token)
        host = place.server.host if place and place.server else None
        return host or super().public_address(token)

    async def close(self) -> None:
        """Remove all our containers and hang up."""
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        await asyncio.gather(*(self._close_place(place) for place in self._places))
        if self._sockets:
            self._sockets.cleanup()

    def _all_places(self) -> list[Place]:
        here = Engine(self.setting.docker_socket)
        if self.setting.docker_servers is None:
            return [Place("local", here)]
        listed = servers.read(self.setting.docker_servers)
        return [Place(name, here, server) for name, server in listed.items()]

    def _tunnel(self, place: Place, socket: Path) -> None:
        if place.server and place.server.mode == "ssh":
            place.engine = Engine(socket)
            place.tunnel = Tunnel(servers.tunnel_command(place.server, socket), socket)

    def _free(self, executor_class: ExecutorClass) -> Place:
        for place in self._places:
            if place.executor_class is None or (
                place.executor_class == executor_class and place.used_by is None
            ):
                return place
        raise ContainerError(f"no free server for {executor_class}")

    def _options(self, token: str, executor_class: ExecutorClass) -> dict[str, Any]:
        """What the engine is told; the job's directories must have one path inside and out."""
        setting, work = self.setting, str(self.setting.work_dir)
        environment = {
            "EXECUTOR_MINER_ADDRESS": setting.miner_address,
            "EXECUTOR_TOKEN": token,
            "EXECUTOR_CLASS": str(executor_class),
            "EXECUTOR_OWNER": setting.owner,
            "EXECUTOR_WORK_DIR": work,
        }
        host: dict[str, Any] = {
            "AutoRemove": True,
            "NetworkMode": "host",
            "Binds": [f"{SOCKET}:{SOCKET}", f"{work}:{work}"],
        }
        if PROMISES[executor_class].gpu:
            host["DeviceRequests"] = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
        return {
            "Image": setting.executor_image,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": {
                OWNER: setting.owner,
                EXECUTOR: executor_id(token),
                ROLE: "executor",
            },
            "HostConfig": host,
        }

    async def _watch(self, token: str, place: Place) -> None:
        try:
            how = f"exit code {await place.engine.exit_code(_name(token))}"
        except ContainerError as exc:
            how = str(exc)
        if how != "exit code 0":
            try:
                await place.engine.remove_all({EXECUTOR: executor_id(token)})
            except ContainerError as exc:
                log.warning("containers left behind", extra={"problem": str(exc)})
        self._forget(token)
        self.on_exit(token, how)

    def _forget(self, token: str) -> None:
        self._watchers.pop(token, None)
        place = self._where.pop(token, None)
        if place and place.used_by == token:
            place.used_by = None

    async def _open_place(self, place: Place) -> None:
        try:
            if place.tunnel:
                await place.tunnel.up()
            await place.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.error("server cannot be used yet", extra={"server": place.name, "why": str(exc)})

    async def _close_place(self, place: Place) -> None:
        try:
            await place.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.warning("containers left behind", extra={"problem": str(exc)})
        if place.tunnel:
            await place.tunnel.down()


def _name(token: str) -> str:
    return f"ch-{executor_id(token)}"
