"""The life of one supervised process, from its first start to its last stop."""

import asyncio
import ctypes
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from localnet.probes import Probe, until

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_AFTER_SECONDS = 10.0
_FIRST_ATTEMPTS = 3

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Process:
    """What to run and how to know that it is ready.

    Without a probe a process is ready once it runs. One that is `once` is ready when it has
    ended with exit code 0. `furnish` runs after the first readiness, before anything that
    comes `after` may start.
    """

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Probe | None = None
    after: tuple[str, ...] = ()
    once: bool = False
    furnish: Callable[[], None] | None = None
    user: int | None = None
    folder: Path | None = None
    stop_signal: Signals = SIGTERM
    ready_within_seconds: float = 120
    stop_within_seconds: float = 10


def die_with_parent(signal: Signals, parent: int) -> None:
    """Have the kernel send us `signal` when the process `parent` ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal)


class NeverReadyError(Exception):
    """A process did not become what the others wait for."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


class State(StrEnum):
    """Where a supervised process stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class Keeper:
    """Starts one process, asks until it is ready, and starts it again whenever it dies."""

    def __init__(
        self, process: Process, log_file: Path, on_change: Callable[["Keeper"], None]
    ) -> None:
        self.process = process
        self.log_file = log_file
        self.state = State.WAITING
        self.detail = ""
        self.restarts = 0
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._on_change = on_change

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def run(self) -> None:
        """Keep it alive until cancelled. Raises if it never becomes ready at all."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            born = time.monotonic()
            code = await self._live()
            if self.process.once:
                return await self._finish_once(code)
            self.restarts += 1
            if not self.ready.is_set() and self.restarts >= _FIRST_ATTEMPTS:
                raise self._never(f"ended with exit code {code} before it was ready")
            steady = time.monotonic() - born > _STEADY_AFTER_SECONDS
            pause = _FIRST_PAUSE_SECONDS if steady else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._move(State.RESTARTING, f"exit code {code}, again in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Ask it to end, wait a bounded time, then kill what is left of its group."""
        child = self._child
        if child:
            with suppress(ProcessLookupError):
                child.send_signal(self.process.stop_signal)
            try:
                await asyncio.wait_for(child.wait(), self.process.stop_within_seconds)
            except TimeoutError:
                log.warning("killed", extra={"supervised": self.process.name})
            self._bury(child)
            await child.wait()
        if self.state not in (State.DONE, State.FAILED):
            self._move(State.STOPPED)
        self.stopped.set()

    async def _live(self) -> int:
        """One life of the process, from start to death."""
        child = self._child = await self._spawn()
        self._move(State.STARTING)
        death = asyncio.create_task(child.wait())
        readiness = None if self.process.once else asyncio.create_task(self._become_ready())
        try:
            if readiness:
                await asyncio.wait({death, readiness}, return_when=asyncio.FIRST_COMPLETED)
                if readiness.done():
                    await readiness
            code = await asyncio.shield(death)
        finally:
            if readiness:
                readiness.cancel()
        self._bury(child)
        self._child = None
        return code

    async def _become_ready(self) -> None:
        if self.process.ready:
            limit = self.process.ready_within_seconds
            while not await until(self.process.ready, within_seconds=limit):
                if not self.ready.is_set():
                    raise self._never(f"not ready within {limit:.0f} s")
                log.warning("still not ready", extra={"supervised": self.process.name})
        if self.process.furnish and not self.ready.is_set():
            await asyncio.to_thread(self.process.furnish)
        self.ready.set()
        self._move(State.READY)

    async def _finish_once(self, code: int) -> None:
        if code:
            raise self._never(f"ended with exit code {code}")
        self.ready.set()
        self._move(State.DONE)

    async def _spawn(self) -> asyncio.subprocess.Process:
        process = self.process
        with self.log_file.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *process.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(process.env),
                cwd=process.folder,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, process.stop_signal, os.getpid()),
                user=process.user,
                extra_groups=None if process.user is None else [],
            )

    def _bury(self, child: asyncio.subprocess.Process) -> None:
        """Take along what it left behind in its process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, SIGKILL)

    def _never(self, why: str) -> NeverReadyError:
        self._move(State.FAILED, why)
        return NeverReadyError(self.process.name, why)

    def _move(self, state: State, detail: str = "") -> None:
        self.state, self.detail = state, detail
        seen = {"supervised": self.process.name, "state": str(state), "detail": detail}
        log.info("state", extra=seen)
        self._on_change(self)
