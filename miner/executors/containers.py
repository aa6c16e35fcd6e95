"""Executors in containers: on the local engine, or one on each of several servers."""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from compute_horde.errors import ConfigurationError, ContainerError
from compute_horde.hardware import PROMISES, ExecutorClass
from miner.config import executor_environment
from miner.executors import servers
from miner.executors.docker import EXECUTOR, OWNER, ROLE, Engine
from miner.executors.manager import ExecutorManager, OnExit, Setting, executor_id
from miner.executors.servers import Server
from miner.executors.tunnel import Tunnel

log = logging.getLogger(__name__)

SOCKET = "/var/run/docker.sock"
STOP_SECONDS = 2
LEAVE_SECONDS = 10.0
FREE_SECONDS = 15.0
AGAIN_SECONDS = 2.0
KILLED = 128
# How an executor ends that could not remove all of its job.
UNCLEAN = 5
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# An executor drives the engine, which is power enough; it has no other.
HARDENED = {
    "CapDrop": ["ALL"],
    # Jobs write as users of their own, and it removes what they wrote. What faces the users of
    # streaming jobs is a process without its rights, which it starts and ends. It sees the
    # processes of jobs, and so the deleted files that they keep on disk.
    "CapAdd": ["DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_PTRACE"],
    "PidMode": "host",
    "SecurityOpt": ["no-new-privileges"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=64m"},  # noqa: S108
    "PidsLimit": 512,
}


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

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
        place = await self._take(token, executor_class)
        try:
            if place.tunnel:
                await place.tunnel.up()
            await place.engine.run(_name(token), self._options(place, token, executor_class))
        except ContainerError:
            await self._clean(token, place)
            self._forget(token)
            raise
        self._watchers[token] = self._spawn(self._watch(token, place))

    async def kill(self, token: str) -> None:
        """Stop the executor's container; its watcher removes what is left, the job's too."""
        if watcher := self._watchers.get(token):
            await self._where[token].engine.stop(_name(token), STOP_SECONDS)
            await asyncio.wait({watcher}, timeout=LEAVE_SECONDS)

    def public_address(self, token: str) -> str | None:
        """The server's own address."""
        place = self._where.get(token)
        host = place.server.host if place and place.server else None
        return host or super().public_address(token)

    async def close(self) -> None:
        """Remove all our containers and hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._close_place(place) for place in self._places))
        if self._sockets:
            self._sockets.cleanup()

    def _all_places(self) -> list[Place]:
        here = Engine(self.setting.docker_socket)
        if self.setting.docker_servers is None:
            return [Place("local", here)]
        listed = servers.read(self.setting.docker_servers)
        remote = [name for name, server in listed.items() if server.mode == "ssh"]
        if remote and urlsplit(self.setting.miner_address).hostname in LOOPBACK:
            raise ConfigurationError(
                f"executors on {', '.join(remote)} would look for the miner on their own machine: "
                "set MINER_EXECUTOR_MINER_ADDRESS to the ws:// address they can reach"
            )
        return [Place(name, here, server) for name, server in listed.items()]

    def _tunnel(self, place: Place, socket: Path) -> None:
        if place.server and place.server.mode == "ssh":
            place.engine = Engine(socket)
            place.tunnel = Tunnel(servers.tunnel_command(place.server, socket), socket)

    async def _take(self, token: str, executor_class: ExecutorClass) -> Place:
        """A machine of the class; its last executor may need a moment to leave."""
        try:
            async with asyncio.timeout(FREE_SECONDS):
                while (place := self._free(executor_class)) is None:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError as exc:
            raise ContainerError(f"no free server for {executor_class}") from exc
        self._where[token] = place
        if place.executor_class:
            place.used_by = token
        return place

    def _free(self, executor_class: ExecutorClass) -> Place | None:
        for place in self._places:
            if place.executor_class is None or (
                place.executor_class == executor_class and place.used_by is None
            ):
                return place
        return None

    def _options(self, place: Place, token: str, executor_class: ExecutorClass) -> dict[str, Any]:
        told = {
            "EXECUTOR_MINER_ADDRESS": self.setting.miner_address,
            "EXECUTOR_TOKEN": token,
            "EXECUTOR_CLASS": str(executor_class),
        }
        if place.server and place.server.streaming_ports:
            told["EXECUTOR_STREAMING_PORTS"] = place.server.streaming_ports
        options = self._container(place, "executor", told)
        options["Labels"][EXECUTOR] = executor_id(token)
        if PROMISES[executor_class].gpu:
            gpus = {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
            options["HostConfig"]["DeviceRequests"] = [gpus]
        return options

    def _container(self, place: Place, role: str, told: Mapping[str, str]) -> dict[str, Any]:
        """What the engine is told; the jobs' directories must have one path inside and out."""
        setting, work = self.setting, str(self.setting.work_dir)
        socket = SOCKET if place.tunnel else setting.docker_socket
        environment = {
            **executor_environment(),
            "EXECUTOR_OWNER": setting.owner,
            "EXECUTOR_WORK_DIR": work,
            "EXECUTOR_DOCKER_URL": f"unix://{SOCKET}",
            **told,
        }
        return {
            "Image": setting.executor_image,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": {OWNER: setting.owner, ROLE: role},
            "HostConfig": {
                "AutoRemove": True,
                "NetworkMode": "host",
                "Binds": [f"{socket}:{SOCKET}", f"{work}:{work}"],
                **HARDENED,
            },
        }

    async def _watch(self, token: str, place: Place) -> None:
        code = await self._end_of(token, place)
        self.on_exit(token, "its container is gone" if code is None else f"exit code {code}")
        if code != 0:
            await self._clean(token, place)
        if code is None or code == UNCLEAN or code > KILLED:
            await self._sweep(place)
        self._forget(token)

    async def _end_of(self, token: str, place: Place) -> int | None:
        """The exit code; an engine out of reach for a while does not mean that it ended."""
        while True:
            try:
                if place.tunnel:
                    await place.tunnel.up()
                return await place.engine.exit_code(_name(token))
            except ContainerError as exc:
                log.warning("engine lost", extra={"server": place.name, "problem": str(exc)})
            await asyncio.sleep(AGAIN_SECONDS)

    async def _clean(self, token: str, place: Place) -> None:
        try:
            await place.engine.remove_all({EXECUTOR: executor_id(token)})
        except ContainerError as exc:
            log.warning("containers left behind", extra={"problem": str(exc)})

    async def _sweep(self, place: Place) -> None:
        """Have the directories of dead executors removed: they are out of our own reach."""
        options = self._container(place, "sweeper", {}) | {"Cmd": ["sweep"]}
        try:
            await place.engine.run(f"ch-sweep-{token_hex(8)}", options)
        except ContainerError as exc:
            log.warning("directories left behind", extra={"problem": str(exc)})

    def _forget(self, token: str) -> None:
        self._watchers.pop(token, None)
        place = self._where.pop(token, None)
        if place and place.used_by == token:
            place.used_by = None
            self._freed.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open_place(self, place: Place) -> None:
        try:
            if place.tunnel:
                await place.tunnel.up()
            await place.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.error("server cannot be used yet", extra={"server": place.name, "why": str(exc)})
        else:
            # Not waited for: the image may have to be fetched first.
            self._spawn(self._sweep(place))

    async def _close_place(self, place: Place) -> None:
        ours = [_name(token) for token, where in self._where.items() if where is place]
        try:
            await asyncio.gather(*(place.engine.stop(one, STOP_SECONDS) for one in ours))
            await place.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.warning("containers left behind", extra={"problem": str(exc)})
        if place.tunnel:
            await place.tunnel.down()


def _name(token: str) -> str:
    return f"ch-{executor_id(token)}"
