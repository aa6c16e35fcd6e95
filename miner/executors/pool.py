"""The executors of one miner: a slot each, filled ahead, reserved in one step."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_urlsafe
from time import monotonic
from typing import Any, Protocol

from compute_horde.errors import HordeError, OutsideError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import HordeReason
from miner.executors import rules
from miner.executors.manager import ExecutorManager, executor_id

log = logging.getLogger(__name__)

LEAVE = timedelta(seconds=5)


class Line(Protocol):
    """The open socket of an executor."""

    async def say(self, message: Message) -> None: ...

    async def close(self, code: int = ...) -> None: ...


class Tenant(Protocol):
    """The job an executor is reserved for."""

    @property
    def job_uuid(self) -> str: ...

    def lost(self, error: HordeError) -> None: ...


@dataclass(slots=True, eq=False)
class Executor:
    """One process somewhere, from its start to its end; serves at most one job."""

    token: str
    executor_class: ExecutorClass
    line: Line | None = None
    peer: str | None = None
    tenant: Tenant | None = None
    connected_at: float | None = None
    working: bool = False
    leaving: bool = False
    timer: asyncio.TimerHandle | None = None
    unsaid: list[Message] = field(default_factory=list)
    talking: bool = False

    @property
    def id(self) -> str:
        """Its name in logs, containers and folders."""
        return executor_id(self.token)

    @property
    def state(self) -> str:
        """Its state in one word, for people."""
        if self.leaving:
            return "leaving"
        if self.tenant:
            return "busy" if self.line else "starting for a job"
        return "idle" if self.line else "starting"

    def in_time(self, delay: timedelta, then: Callable[[], object]) -> None:
        """Call `then` after `delay`, instead of what was to be called before."""
        self.rest()
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(delay.total_seconds(), then)

    def rest(self) -> None:
        """Nothing is to be called any more."""
        if self.timer:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True)
class Slots:
    """How the executors of one class fare."""

    wanted: int
    failures: int = 0
    problem: str = ""
    refill: asyncio.TimerHandle | None = None


class Pool:
    """Keeps executors ready and gives each to one job.

    Everything here runs in one event loop and `reserve` does not await, so no two jobs can get
    the same executor.
    """

    def __init__(
        self,
        manager: Callable[[Callable[[str, str], None]], ExecutorManager],
        *,
        start_limit: timedelta = timedelta(seconds=30),
    ) -> None:
        self.manager = manager(self.exited)
        self._start_limit = start_limit
        self._executors: dict[str, Executor] = {}
        self._slots: dict[ExecutorClass, Slots] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    async def open(self) -> None:
        """Clean up after an earlier life and start what is to be ready."""
        await self.manager.open()
        self._slots = {cls: Slots(n) for cls, n in self.manager.manifest().items()}
        self._open = True
        for executor_class in self._slots:
            self._refill(executor_class)

    async def close(self) -> None:
        """End every executor."""
        self._open = False
        for slots in self._slots.values():
            if slots.refill:
                slots.refill.cancel()
        for executor in self._executors.values():
            executor.rest()
        await self.manager.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def manifest(self) -> Mapping[ExecutorClass, int]:
        """Executors offered per class."""
        return {cls: slots.wanted for cls, slots in self._slots.items()}

    @property
    def executors(self) -> list[Executor]:
        """Every executor there is, in the order they were started."""
        return list(self._executors.values())

    @property
    def slots(self) -> dict[ExecutorClass, Slots]:
        """How each class fares."""
        return dict(self._slots)

    def reserve(self, executor_class: ExecutorClass, tenant: Tenant) -> Executor | None:
        """An executor for this job alone, ready or starting; None when all are busy."""
        slots = self._slots.get(executor_class)
        if slots is None or not self._open or self._busy(executor_class) >= slots.wanted:
            return None
        free = sorted(self._free(executor_class), key=lambda one: one.line is None)
        if not free and slots.refill:
            return None
        chosen = free[0] if free else self._start(executor_class)
        chosen.tenant = tenant
        return chosen

    def say(self, executor: Executor, message: Message) -> None:
        """Tell an executor something, as soon as it is connected."""
        executor.unsaid.append(message)
        self._spawn(self._talk(executor))

    def address_of(self, executor: Executor) -> str | None:
        """Where users reach it, as far as known."""
        return self.manager.public_address(executor.token) or executor.peer

    def connected(self, token: str, line: Line, peer: str | None) -> Executor | None:
        """The executor that owns this token, which is good for one connection; else None."""
        executor = self._executors.get(token)
        if executor is None or executor.connected_at is not None:
            return None
        executor.line, executor.peer, executor.connected_at = line, peer, monotonic()
        executor.rest()
        self._spawn(self._talk(executor))
        return executor

    def disconnected(self, executor: Executor, code: int) -> None:
        """Its socket closed."""
        executor.line = None
        if executor.leaving or not self._open:
            return
        while_busy = " while job was running" if executor.tenant else ""
        self._gone(executor, f"disconnected{while_busy} (code: {code})")
        self._spawn(self._kill(executor))

    def exited(self, token: str, how: str) -> None:
        """The manager says an executor ended."""
        executor = self._executors.pop(token, None)
        if executor is None:
            return
        executor.rest()
        if not executor.leaving and self._open:
            self._gone(executor, f"ended: {how}")

    def works(self, executor: Executor) -> None:
        """Its job is under way: make ready who comes after it, where there is room for both."""
        if self.manager.overlaps and executor.tenant:
            executor.working = True
            self._refill(executor.executor_class)

    def release(self, executor: Executor) -> None:
        """Its job is over: it leaves by itself, and its slot is free at once."""
        slots = self._slots[executor.executor_class]
        slots.failures, slots.problem = 0, ""
        executor.tenant, executor.leaving = None, True
        executor.in_time(LEAVE, lambda: self._spawn(self._kill(executor)))
        self._refill(executor.executor_class)

    def discard(self, executor: Executor) -> None:
        """Kill an executor and free its slot."""
        executor.tenant, executor.leaving = None, True
        self._spawn(self._kill(executor))
        self._refill(executor.executor_class)

    def _free(self, executor_class: ExecutorClass) -> list[Executor]:
        return [
            one
            for one in self._executors.values()
            if one.executor_class == executor_class and not one.tenant and not one.leaving
        ]

    def _busy(self, executor_class: ExecutorClass) -> int:
        return sum(
            one.tenant is not None and one.executor_class == executor_class
            for one in self._executors.values()
        )

    def _working(self, executor_class: ExecutorClass) -> int:
        return sum(
            one.working and one.tenant is not None and one.executor_class == executor_class
            for one in self._executors.values()
        )

    def _refill(self, executor_class: ExecutorClass) -> None:
        """Start what is missing, after a pause when executors keep crashing."""
        slots = self._slots[executor_class]
        if not self._open or slots.refill or not rules.is_warm(executor_class):
            return
        if pause := rules.pause_after(slots.failures).total_seconds():
            loop = asyncio.get_running_loop()
            slots.refill = loop.call_later(pause, self._fill, executor_class)
        else:
            self._fill(executor_class)

    def _fill(self, executor_class: ExecutorClass) -> None:
        slots = self._slots[executor_class]
        slots.refill = None
        there = self._busy(executor_class) + len(self._free(executor_class))
        for _ in range(slots.wanted + self._working(executor_class) - there):
            self._start(executor_class)

    def _start(self, executor_class: ExecutorClass) -> Executor:
        executor = Executor(token_urlsafe(32), executor_class)
        self._executors[executor.token] = executor
        limit = rules.time_to_start(executor_class, self._start_limit)
        executor.in_time(limit, lambda: self._late(executor, limit))
        self._spawn(self._launch(executor))
        return executor

    async def _launch(self, executor: Executor) -> None:
        try:
            await self.manager.start(executor.token, executor.executor_class)
        except (OutsideError, OSError) as exc:
            self._gone(executor, f"could not be started: {exc}")

    def _late(self, executor: Executor, limit: timedelta) -> None:
        self._gone(executor, f"did not connect within {limit.total_seconds():g} s")
        self._spawn(self._kill(executor))

    def _gone(self, executor: Executor, how: str) -> None:
        """An executor ended before its time."""
        self._executors.pop(executor.token, None)
        executor.rest()
        executor.leaving = True
        tenant, executor.tenant = executor.tenant, None
        since = executor.connected_at
        served = timedelta(seconds=monotonic() - since) if since is not None else None
        if tenant is None or since is None:
            self._count_crash(executor, how, served)
        if self._open:
            if tenant:
                tenant.lost(_loss(executor, how))
            self._refill(executor.executor_class)

    def _count_crash(self, executor: Executor, how: str, served: timedelta | None) -> None:
        slots = self._slots[executor.executor_class]
        slots.failures = slots.failures + 1 if rules.is_crash(connected_for=served) else 0
        slots.problem = f"executor {executor.id} {how}"
        log.warning(
            "executor crashed",
            extra={"executor": executor.id, "how": how, "in_a_row": slots.failures},
        )

    async def _talk(self, executor: Executor) -> None:
        if executor.talking:
            return
        executor.talking = True
        while executor.line and executor.unsaid:
            await executor.line.say(executor.unsaid.pop(0))
        executor.talking = False

    async def _kill(self, executor: Executor) -> None:
        executor.rest()
        try:
            await self.manager.kill(executor.token)
        except (OutsideError, OSError):
            log.exception("executor could not be killed", extra={"executor": executor.id})
        if executor.line:
            await executor.line.close()
        self._executors.pop(executor.token, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _loss(executor: Executor, how: str) -> HordeError:
    if executor.connected_at is None:
        reason = HordeReason.EXECUTOR_SPINUP_FAILED
        return HordeError(reason, f"Executor failed to start: {executor.id} {how}")
    return HordeError(HordeReason.EXECUTOR_DISCONNECTED, f"Executor {executor.id} {how}")
