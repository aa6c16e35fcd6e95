"""Executors as processes on this machine, forked from one parent that has all imported."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from typing import Any

from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from miner.config import child_environment
from miner.executors.docker import EXECUTOR, OWNER, Engine
from miner.executors.manager import ExecutorManager, OnExit, Setting, executor_id

log = logging.getLogger(__name__)

NURSERY = ("-m", "executor", "nursery")
RESTART_SECONDS = 1.0
CLOSE_SECONDS = 1.0


class LocalManager(ExecutorManager):
    """One nursery process; every executor is its child and dies with it, and it with us."""

    overlaps = True

    def __init__(self, setting: Setting, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self._engine = Engine(setting.docker_socket)
        self._nursery: asyncio.subprocess.Process | None = None
        self._born: set[str] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._sweepers: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()

    async def open(self) -> None:
        """Remove leftovers of an earlier life, start the nursery and keep it alive."""
        await self._sweep({OWNER: self.setting.owner})
        self._keeper = asyncio.create_task(self._keep())

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Ask the nursery for a child."""
        await self._ready.wait()
        self._born.add(token)
        await self._order({"token": token, "executor_class": str(executor_class)})

    async def kill(self, token: str) -> None:
        """Have the nursery kill a child; its container goes once its end is known."""
        if token in self._born and self._ready.is_set():
            await self._order({"token": token, "kill": True})

    async def close(self) -> None:
        """End the nursery, which ends its children, then remove what they leave."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*self._sweepers, return_exceptions=True)
        if self._born:
            await self._sweep({OWNER: self.setting.owner})

    async def _keep(self) -> None:
        """Run the nursery; start it again when it dies, for ever."""
        while True:
            await self._run()
            log.error("the nursery died, starting it again")
            await asyncio.sleep(RESTART_SECONDS)

    async def _run(self) -> None:
        setting = self.setting
        environment = child_environment(
            EXECUTOR_MINER_ADDRESS=setting.miner_address,
            EXECUTOR_OWNER=setting.owner,
            EXECUTOR_WORK_DIR=str(setting.work_dir),
        )
        pipe = asyncio.subprocess.PIPE
        nursery = await asyncio.create_subprocess_exec(
            sys.executable, *NURSERY, stdin=pipe, stdout=pipe, env=environment
        )
        self._nursery = nursery
        self._ready.set()
        try:
            while line := await nursery.stdout.readline():  # type: ignore[union-attr]
                self._told(line)
        finally:
            self._ready.clear()
            await _end(nursery)
        for token in list(self._born):
            self._exited(token, "its nursery died")

    def _told(self, line: bytes) -> None:
        try:
            news = json.loads(line)
            token = news["token"]
        except (ValueError, KeyError, TypeError):
            log.warning("the nursery spoke nonsense", extra={"line": line[:200]})
            return
        if "exit" in news:
            self._exited(token, f"exit code {news['exit']}", clean=news["exit"] == 0)

    def _exited(self, token: str, how: str, *, clean: bool = False) -> None:
        if token not in self._born:
            return
        self._born.discard(token)
        if not clean:
            sweeper = asyncio.create_task(self._sweep({EXECUTOR: executor_id(token)}))
            self._sweepers.add(sweeper)
            sweeper.add_done_callback(self._sweepers.discard)
        self.on_exit(token, how)

    async def _order(self, order: dict[str, Any]) -> None:
        nursery = self._nursery
        if nursery is None or nursery.stdin is None or nursery.stdin.is_closing():
            raise ContainerError("the nursery is not running")
        nursery.stdin.write(json.dumps(order).encode() + b"\n")
        with suppress(ConnectionError):
            await nursery.stdin.drain()

    async def _sweep(self, labels: dict[str, str]) -> None:
        """Remove containers that executors left; a machine without Docker has none."""
        try:
            if removed := await self._engine.remove_all(labels):
                log.warning("containers left behind removed", extra={"containers": removed})
        except ContainerError as exc:
            log.warning("containers could not be looked through", extra={"problem": str(exc)})


async def _end(nursery: asyncio.subprocess.Process) -> None:
    """Close its standard input, which tells it to end; insist when it does not."""
    if nursery.stdin:
        nursery.stdin.close()
    try:
        await asyncio.wait_for(nursery.wait(), CLOSE_SECONDS)
    except TimeoutError:
        nursery.kill()
        await nursery.wait()
