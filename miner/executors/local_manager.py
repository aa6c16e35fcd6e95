"""The `local` manager: executors are processes, forked from one prefork server."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from typing import Any

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from miner.config import child_environment
from miner.executors.docker_engine import OWNER, DockerEngine
from miner.executors.manager import UNCLEAN, ExecutorManager, ManagerSettings, OnExit
from miner.executors.quarantine import Quarantine

log = logging.getLogger(__name__)

PREFORK_COMMAND = ("-m", "executor", "prefork")
RESTART_SECONDS = 1.0
CLOSE_SECONDS = 1.0
CLEANUP_SECONDS = 5.0


class LocalManager(ExecutorManager):
    """Runs a prefork server; executors are its children.

    Executors end with the prefork server, and it ends with the miner.
    """

    overlaps = True

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self._engine = DockerEngine(setting.docker_socket)
        self._prefork: asyncio.subprocess.Process | None = None
        self._classes: dict[str, ExecutorClass] = {}
        self._quarantine = Quarantine(lambda *change: self.on_service(*change))
        self._supervisor: asyncio.Task[None] | None = None
        self._cleanups = TaskSet()
        self._ready = asyncio.Event()

    async def check(self) -> None:
        """Check the local engine, which executors use."""
        await self._engine.check()

    async def open(self) -> None:
        """Remove what an earlier process left, then start and supervise the prefork server."""
        await self._remove_containers({OWNER: self.setting.owner})
        self._supervisor = asyncio.create_task(self._supervise())

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Request a child of the prefork server."""
        await self._ready.wait()
        self._classes[token] = executor_class
        await self._send_command({"token": token, "executor_class": str(executor_class)})

    async def kill(self, token: str) -> None:
        """Request that the prefork server kills a child; its container is removed afterwards."""
        if token in self._classes and self._ready.is_set():
            await self._send_command({"token": token, "kill": True})

    async def close(self) -> None:
        """Stop the prefork server and its children, then remove containers that they left."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        may_have_containers = bool(self._classes)
        await self._cleanups.wait(CLEANUP_SECONDS)
        may_have_containers = may_have_containers or len(self._cleanups) > 0
        await self._cleanups.cancel()
        if may_have_containers:
            await self._remove_containers({OWNER: self.setting.owner})

    async def _supervise(self) -> None:
        """Run the prefork server, and restart it whenever it ends; never returns."""
        while True:
            await self._run()
            log.error("the prefork server ended; restarting it")
            await asyncio.sleep(RESTART_SECONDS)

    async def _run(self) -> None:
        setting = self.setting
        environment = child_environment(
            EXECUTOR_MINER_ADDRESS=setting.miner_address,
            EXECUTOR_OWNER=setting.owner,
            EXECUTOR_WORK_DIR=str(setting.work_dir),
        )
        pipe = asyncio.subprocess.PIPE
        prefork = await asyncio.create_subprocess_exec(
            sys.executable, *PREFORK_COMMAND, stdin=pipe, stdout=pipe, env=environment
        )
        self._prefork = prefork
        self._ready.set()
        try:
            while line := await prefork.stdout.readline():  # type: ignore[union-attr]
                self._handle_line(line)
        finally:
            self._ready.clear()
            await _stop(prefork)
        for token in list(self._classes):
            self._on_exited(token, "its prefork server ended")

    def _handle_line(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            token = message["token"]
        except (ValueError, KeyError, TypeError):
            log.warning("unreadable line from the prefork server", extra={"line": line[:200]})
            return
        if "exit" in message:
            self._on_exited(token, f"exit code {message['exit']}", code=message["exit"])

    def _on_exited(self, token: str, reason: str, *, code: int | None = None) -> None:
        executor_class = self._classes.pop(token, None)
        if executor_class is None:
            return
        if code != 0:
            self._cleanups.spawn(
                self._quarantine.clean(
                    self._engine, token, executor_class, is_unclean=code == UNCLEAN
                )
            )
        self.on_exit(token, reason)

    async def _send_command(self, command: dict[str, Any]) -> None:
        prefork = self._prefork
        if prefork is None or prefork.stdin is None or prefork.stdin.is_closing():
            raise ContainerError("the prefork server is not running")
        prefork.stdin.write(json.dumps(command).encode() + b"\n")
        with suppress(ConnectionError):
            await prefork.stdin.drain()

    async def _remove_containers(self, labels: dict[str, str]) -> None:
        """Remove containers of earlier executors; without Docker there are none."""
        try:
            if removed := await self._engine.remove_all(labels):
                log.warning(
                    "containers of earlier executors removed", extra={"containers": removed}
                )
        except ContainerError as exc:
            log.warning("containers could not be listed", extra={"problem": str(exc)})


async def _stop(prefork: asyncio.subprocess.Process) -> None:
    """Stop the prefork server by closing its standard input; kill it after `CLOSE_SECONDS`."""
    if prefork.stdin:
        prefork.stdin.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await prefork.wait()
    except TimeoutError:
        prefork.kill()
        await prefork.wait()
