"""The `docker` manager: executors in containers, on the local engine or on servers."""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.container_names import executor_container, sweeper_container
from compute_horde.errors import ConfigurationError, ContainerError
from compute_horde.hardware import PROMISES, ExecutorClass
from miner.config import executor_environment
from miner.executors import docker_servers
from miner.executors.docker_engine import EXECUTOR, OWNER, ROLE, DockerEngine
from miner.executors.docker_servers import DockerServer
from miner.executors.manager import UNCLEAN, ExecutorManager, ManagerSettings, OnExit, executor_id
from miner.executors.quarantine import Quarantine
from miner.executors.ssh_tunnel import Tunnel

log = logging.getLogger(__name__)

SOCKET = "/var/run/docker.sock"
STOP_SECONDS = 2
EXIT_SECONDS = 10.0
FREE_SLOT_SECONDS = 15.0
RETRY_SECONDS = 2.0
KILLED = 128
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# An executor controls the engine through its socket; it needs few other privileges.
HARDENED = {
    "CapDrop": ["ALL"],
    # It removes files that jobs wrote as other users. It starts and stops the proxy of a streaming
    # job as an unprivileged user. It inspects the processes of jobs, to count deleted files that
    # they still hold open.
    "CapAdd": ["DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_PTRACE"],
    "PidMode": "host",
    "SecurityOpt": ["no-new-privileges"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=64m"},  # noqa: S108
    "PidsLimit": 512,
}


@dataclass(slots=True, eq=False)
class ServerSlot:
    """A server that runs one executor at a time, or the local engine, which runs any number."""

    name: str
    engine: DockerEngine
    server: DockerServer | None = None
    tunnel: Tunnel | None = None
    used_by: str | None = None

    @property
    def executor_class(self) -> ExecutorClass | None:
        """The class of its executors; None: any class."""
        return self.server.executor_class if self.server else None


class DockerManager(ExecutorManager):
    """Runs each executor as a container of the executor image, with the engine's socket mounted."""

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self._server_slots = self._load_server_slots()
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._slot_of: dict[str, ServerSlot] = {}
        self._classes: dict[str, ExecutorClass] = {}
        self._quarantine = Quarantine(lambda *change: self.on_service(*change))
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()
        self._freed = asyncio.Event()

    def manifest(self) -> Mapping[ExecutorClass, int]:
        """One executor per server of the file; without a file, the counts from the settings."""
        if self.setting.docker_servers is None:
            return self.setting.counts
        return Counter(slot.executor_class for slot in self._server_slots if slot.executor_class)

    async def check(self) -> None:
        """Check the local engine; servers may be unreachable for a while."""
        for slot in self._server_slots:
            if slot.server is None or slot.server.mode == "local":
                await slot.engine.check()

    async def open(self) -> None:
        """Connect to every server and remove what an earlier process left there."""
        self._sockets = tempfile.TemporaryDirectory(prefix="ch-docker-")
        for number, slot in enumerate(self._server_slots):
            self._tunnel(slot, Path(self._sockets.name) / f"{number}.sock")
        await asyncio.gather(*(self._open_slot(slot) for slot in self._server_slots))

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Run the executor image on a free server of the class."""
        slot = await self._acquire(token, executor_class)
        try:
            if slot.tunnel:
                await slot.tunnel.up()
            await slot.engine.run(
                executor_container(executor_id(token)), self._options(slot, token, executor_class)
            )
        except ContainerError:
            await self._remove_containers(token, slot)
            self._forget(token)
            raise
        self._watchers[token] = self._tasks.spawn(self._supervise(token, slot))

    async def kill(self, token: str) -> None:
        """Stop the executor's container; its supervisor task removes the rest, also of the job."""
        if watcher := self._watchers.get(token):
            await self._slot_of[token].engine.stop(
                executor_container(executor_id(token)), STOP_SECONDS
            )
            await asyncio.wait({watcher}, timeout=EXIT_SECONDS)

    def public_address(self, token: str) -> str | None:
        """The address of the server, if it has one."""
        slot = self._slot_of.get(token)
        host = slot.server.host if slot and slot.server else None
        return host or super().public_address(token)

    async def close(self) -> None:
        """Remove all containers of this miner and close the tunnels."""
        await self._tasks.cancel()
        await asyncio.gather(*(self._close_slot(slot) for slot in self._server_slots))
        if self._sockets:
            self._sockets.cleanup()

    def _load_server_slots(self) -> list[ServerSlot]:
        local_engine = DockerEngine(self.setting.docker_socket)
        if self.setting.docker_servers is None:
            return [ServerSlot("local", local_engine)]
        listed = docker_servers.read(self.setting.docker_servers)
        remote = [name for name, server in listed.items() if server.mode == "ssh"]
        if remote and urlsplit(self.setting.miner_address).hostname in LOOPBACK:
            raise ConfigurationError(
                f"executors on {', '.join(remote)} cannot reach the miner at a loopback address: "
                "set MINER_EXECUTOR_MINER_ADDRESS to the ws:// address they can reach"
            )
        return [ServerSlot(name, local_engine, server) for name, server in listed.items()]

    def _tunnel(self, slot: ServerSlot, socket: Path) -> None:
        if slot.server and slot.server.mode == "ssh":
            slot.engine = DockerEngine(socket)
            slot.tunnel = Tunnel(docker_servers.tunnel_command(slot.server, socket), socket)

    async def _acquire(self, token: str, executor_class: ExecutorClass) -> ServerSlot:
        """Reserve a server of the class, waiting for the previous executor to exit."""
        try:
            async with asyncio.timeout(FREE_SLOT_SECONDS):
                while (slot := self._find_free(executor_class)) is None:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError as exc:
            raise ContainerError(f"no free server for {executor_class}") from exc
        self._slot_of[token] = slot
        self._classes[token] = executor_class
        if slot.executor_class:
            slot.used_by = token
        return slot

    def _find_free(self, executor_class: ExecutorClass) -> ServerSlot | None:
        for slot in self._server_slots:
            if slot.executor_class is None or (
                slot.executor_class == executor_class and slot.used_by is None
            ):
                return slot
        return None

    def _options(
        self, slot: ServerSlot, token: str, executor_class: ExecutorClass
    ) -> dict[str, Any]:
        variables = {
            "EXECUTOR_MINER_ADDRESS": self.setting.miner_address,
            "EXECUTOR_TOKEN": token,
            "EXECUTOR_CLASS": str(executor_class),
        }
        if slot.server and slot.server.streaming_ports:
            variables["EXECUTOR_STREAMING_PORTS"] = slot.server.streaming_ports
        options = self._container(slot, "executor", variables)
        options["Labels"][EXECUTOR] = executor_id(token)
        if PROMISES[executor_class].gpu:
            gpus = {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
            options["HostConfig"]["DeviceRequests"] = [gpus]
        return options

    def _container(
        self, slot: ServerSlot, role: str, variables: Mapping[str, str]
    ) -> dict[str, Any]:
        """The options of a container; `work_dir` has the same path inside and outside."""
        setting, work = self.setting, str(self.setting.work_dir)
        socket = SOCKET if slot.tunnel else setting.docker_socket
        environment = {
            **executor_environment(),
            "EXECUTOR_OWNER": setting.owner,
            "EXECUTOR_WORK_DIR": work,
            "EXECUTOR_DOCKER_URL": f"unix://{SOCKET}",
            **variables,
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

    async def _supervise(self, token: str, slot: ServerSlot) -> None:
        code = await self._wait_for_exit(token, slot)
        self.on_exit(token, "its container is gone" if code is None else f"exit code {code}")
        if code != 0:
            # The server gets no other executor before it is clean.
            await self._quarantine.clean(
                slot.engine, token, self._classes[token], is_unclean=code == UNCLEAN
            )
        if code is None or code == UNCLEAN or code > KILLED:
            await self._start_sweeper(slot)
        self._forget(token)

    async def _wait_for_exit(self, token: str, slot: ServerSlot) -> int | None:
        """The exit code, or None; while the engine is unreachable, the executor is not ended."""
        while True:
            try:
                if slot.tunnel:
                    await slot.tunnel.up()
                return await slot.engine.exit_code(executor_container(executor_id(token)))
            except ContainerError as exc:
                log.warning(
                    "container engine unreachable", extra={"server": slot.name, "problem": str(exc)}
                )
            await asyncio.sleep(RETRY_SECONDS)

    async def _remove_containers(self, token: str, slot: ServerSlot) -> None:
        try:
            await slot.engine.remove_all({EXECUTOR: executor_id(token)})
        except ContainerError as exc:
            log.warning("containers could not be removed", extra={"problem": str(exc)})

    async def _start_sweeper(self, slot: ServerSlot) -> None:
        """Start a container that removes directories of ended executors on the server."""
        options = self._container(slot, "sweeper", {}) | {"Cmd": ["sweep"]}
        try:
            await slot.engine.run(sweeper_container(token_hex(8)), options)
        except ContainerError as exc:
            log.warning("directories could not be removed", extra={"problem": str(exc)})

    def _forget(self, token: str) -> None:
        self._watchers.pop(token, None)
        slot = self._slot_of.pop(token, None)
        self._classes.pop(token, None)
        if slot and slot.used_by == token:
            slot.used_by = None
            self._freed.set()

    async def _open_slot(self, slot: ServerSlot) -> None:
        try:
            if slot.tunnel:
                await slot.tunnel.up()
            await slot.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.error("server cannot be used yet", extra={"server": slot.name, "why": str(exc)})
        else:
            # In the background, since the image may have to be pulled first.
            self._tasks.spawn(self._start_sweeper(slot))

    async def _close_slot(self, slot: ServerSlot) -> None:
        names = [
            executor_container(executor_id(token))
            for token, its_slot in self._slot_of.items()
            if its_slot is slot
        ]
        try:
            await asyncio.gather(*(slot.engine.stop(one, STOP_SECONDS) for one in names))
            await slot.engine.remove_all({OWNER: self.setting.owner})
        except ContainerError as exc:
            log.warning("containers could not be removed", extra={"problem": str(exc)})
        if slot.tunnel:
            await slot.tunnel.down()
