"""Starts, probes, restarts and stops one process."""

import asyncio
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

from compute_horde.concurrency.backoff import Backoff
from compute_horde.platform.parent_death import die_with_parent
from localnet.supervisor.readiness import Probe, wait_until

log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 0.1
_STABLE_AFTER_SECONDS = 10.0
_MAX_FIRST_STARTS = 3


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run, how to know that it is ready, and how to stop it.

    Without a probe a process is ready once it runs; a oneshot is ready when it has ended with exit
    code 0. `on_first_ready` is called once the process is ready for the first time, before the
    processes that depend on it start. `user` is the uid to run as, `folder` the working directory.
    A process that ends again and again is restarted after at most `restart_within_seconds`.
    """

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    probe: Probe | None = None
    depends_on: tuple[str, ...] = ()
    is_oneshot: bool = False
    on_first_ready: Callable[[], None] | None = None
    user: int | None = None
    folder: Path | None = None
    stop_signal: Signals = SIGTERM
    ready_within_seconds: float = 120
    stop_within_seconds: float = 10
    restart_within_seconds: float = 10


class NeverReadyError(Exception):
    """A process did not become ready, or a oneshot process failed."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


class ProcessState(StrEnum):
    """The state of a supervised process; `done` is that of a oneshot that succeeded."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class SupervisedProcess:
    """Starts a process, probes it until it is ready, and restarts it whenever it ends."""

    def __init__(
        self, spec: ProcessSpec, log_file: Path, on_change: Callable[["SupervisedProcess"], None]
    ) -> None:
        self.spec = spec
        self.log_file = log_file
        self.state = ProcessState.WAITING
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
        """Run and restart the process until cancelled; a oneshot runs once.

        Raises `NeverReadyError` if it does not become ready after the first starts.
        """
        backoff = Backoff(_FIRST_DELAY_SECONDS, self.spec.restart_within_seconds)
        while True:
            started_at = time.monotonic()
            code = await self._run_once()
            if self.spec.is_oneshot:
                return await self._finish_once(code)
            self.restarts += 1
            if not self.ready.is_set() and self.restarts >= _MAX_FIRST_STARTS:
                raise self._not_ready(f"ended with exit code {code} before it was ready")
            if time.monotonic() - started_at > _STABLE_AFTER_SECONDS:
                backoff.reset()
            delay = backoff.take()
            self._set_state(ProcessState.RESTARTING, f"exit code {code}, again in {delay:.1f} s")
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        """Send the stop signal, wait `stop_within_seconds`, then kill its process group."""
        child = self._child
        if child:
            with suppress(ProcessLookupError):
                child.send_signal(self.spec.stop_signal)
            try:
                await asyncio.wait_for(child.wait(), self.spec.stop_within_seconds)
            except TimeoutError:
                log.warning("killed", extra={"supervised": self.spec.name})
            self._kill_group(child)
            await child.wait()
        if self.state not in (ProcessState.DONE, ProcessState.FAILED):
            self._set_state(ProcessState.STOPPED)
        self.stopped.set()

    async def _run_once(self) -> int:
        """Start the process and wait for its end; its exit code."""
        child = self._child = await self._spawn()
        self._set_state(ProcessState.STARTING)
        exited = asyncio.create_task(child.wait())
        readiness = None if self.spec.is_oneshot else asyncio.create_task(self._wait_until_ready())
        try:
            if readiness:
                await asyncio.wait({exited, readiness}, return_when=asyncio.FIRST_COMPLETED)
                if readiness.done():
                    await readiness
            code = await asyncio.shield(exited)
        finally:
            if readiness:
                readiness.cancel()
        self._kill_group(child)
        self._child = None
        return code

    async def _wait_until_ready(self) -> None:
        if self.spec.probe:
            limit = self.spec.ready_within_seconds
            while not await wait_until(self.spec.probe, within_seconds=limit):
                if not self.ready.is_set():
                    raise self._not_ready(f"not ready within {limit:.0f} s")
                log.warning("still not ready", extra={"supervised": self.spec.name})
        if self.spec.on_first_ready and not self.ready.is_set():
            await asyncio.to_thread(self.spec.on_first_ready)
        self.ready.set()
        self._set_state(ProcessState.READY)

    async def _finish_once(self, code: int) -> None:
        if code:
            raise self._not_ready(f"ended with exit code {code}")
        self.ready.set()
        self._set_state(ProcessState.DONE)

    async def _spawn(self) -> asyncio.subprocess.Process:
        spec = self.spec
        with self.log_file.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(spec.env),
                cwd=spec.folder,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid(), spec.stop_signal),
                user=spec.user,
                extra_groups=None if spec.user is None else [],
            )

    def _kill_group(self, child: asyncio.subprocess.Process) -> None:
        """Kill what remains of the process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, SIGKILL)

    def _not_ready(self, reason: str) -> NeverReadyError:
        self._set_state(ProcessState.FAILED, reason)
        return NeverReadyError(self.spec.name, reason)

    def _set_state(self, state: ProcessState, detail: str = "") -> None:
        self.state, self.detail = state, detail
        fields = {"supervised": self.spec.name, "state": str(state), "detail": detail}
        log.info("state", extra=fields)
        self._on_change(self)
