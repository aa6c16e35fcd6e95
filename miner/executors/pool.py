"""The pool of executors: started in advance, and reserved for one job each."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from secrets import token_urlsafe
from time import monotonic

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import HordeError, OutsideError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import HordeReason
from miner.executors import rules
from miner.executors.executor import ClassSlots, Executor, ExecutorConnection, ReservingJob
from miner.executors.manager import ExecutorManager

log = logging.getLogger(__name__)

LEAVE_TIME = timedelta(seconds=5)


class ExecutorPool:
    """Keeps executors ready and reserves each for one job.

    All methods run in one event loop and `reserve` does not await, so an executor is never
    reserved twice.
    """

    def __init__(
        self,
        manager: Callable[[Callable[[str, str], None]], ExecutorManager],
        *,
        start_limit: timedelta = timedelta(seconds=30),
    ) -> None:
        self.manager = manager(self.on_exited)
        self.manager.on_service = self.on_service_changed
        self._start_limit = start_limit
        self._executors: dict[str, Executor] = {}
        self._slots: dict[ExecutorClass, ClassSlots] = {}
        self._tasks = TaskSet()
        self._open = False

    async def open(self) -> None:
        """Clean up after an earlier process, then start executors in advance."""
        await self.manager.open()
        self._slots = {cls: ClassSlots(n) for cls, n in self.manager.manifest().items()}
        self._open = True
        for executor_class in self._slots:
            self._refill(executor_class)

    async def close(self) -> None:
        """Stop all executors."""
        self._open = False
        for slots in self._slots.values():
            if slots.refill_timer:
                slots.refill_timer.cancel()
        for executor in self._executors.values():
            executor.cancel_timer()
        await self.manager.close()
        await self._tasks.cancel()

    @property
    def manifest(self) -> Mapping[ExecutorClass, int]:
        """The number of executors offered per class."""
        return {cls: slots.usable for cls, slots in self._slots.items()}

    @property
    def executors(self) -> list[Executor]:
        """All executors, in the order they were started."""
        return list(self._executors.values())

    @property
    def slots(self) -> dict[ExecutorClass, ClassSlots]:
        """The slots of each class."""
        return dict(self._slots)

    def reserve(self, executor_class: ExecutorClass, assignment: ReservingJob) -> Executor | None:
        """Reserve an executor for a job: a ready one, else a starting one, else one started now.

        Never waits. None when the pool is closed, when all executors of the class are busy or out
        of service, or when none is left and starting others is paused because some crashed.
        """
        slots = self._slots.get(executor_class)
        if slots is None or not self._open or self._busy(executor_class) >= slots.usable:
            return None
        free = sorted(self._free(executor_class), key=lambda one: one.connection is None)
        if not free and slots.refill_timer and slots.failures:
            return None
        chosen = free[0] if free else self._start(executor_class)
        chosen.assignment = assignment
        return chosen

    def send(self, executor: Executor, message: Message) -> None:
        """Send a message to an executor, as soon as it is connected."""
        executor.unsent.append(message)
        self._tasks.spawn(self._send_unsent(executor))

    def address_of(self, executor: Executor) -> str | None:
        """Where users reach an executor, or None if that is not known."""
        return self.manager.public_address(executor.token) or executor.peer

    def on_connected(
        self, token: str, connection: ExecutorConnection, peer: str | None
    ) -> Executor | None:
        """The executor with this token; None for an unknown token or a second connection."""
        executor = self._executors.get(token)
        if executor is None or executor.connected_at is not None:
            return None
        executor.connection, executor.peer, executor.connected_at = connection, peer, monotonic()
        executor.cancel_timer()
        self._tasks.spawn(self._send_unsent(executor))
        return executor

    def on_disconnected(self, executor: Executor, code: int) -> None:
        """The connection of an executor was closed."""
        executor.connection = None
        if executor.is_leaving or not self._open:
            return
        while_busy = " while job was running" if executor.assignment else ""
        self._on_lost(executor, f"disconnected{while_busy} (code: {code})")
        self._tasks.spawn(self._kill(executor))

    def on_exited(self, token: str, reason: str) -> None:
        """The manager reports that an executor ended."""
        executor = self._executors.pop(token, None)
        if executor is None:
            return
        executor.cancel_timer()
        if not executor.is_leaving and self._open:
            self._on_lost(executor, f"ended: {reason}")

    def on_service_changed(self, executor_class: ExecutorClass, change: int, reason: str) -> None:
        """The manager reports that a slot is out of service, or in service again."""
        if slots := self._slots.get(executor_class):
            slots.out_of_service += change
            slots.problem = f"out of service: {reason}" if reason else slots.problem
            self._refill(executor_class)

    def on_working(self, executor: Executor) -> None:
        """The job of an executor runs: start its successor if the manager allows both at a time.

        While another executor is ready, that waits for the end of the job, whose container would
        start more slowly beside it.
        """
        if self.manager.overlaps and executor.assignment:
            executor.is_working = True
            if not self._is_any_ready(executor.executor_class):
                self._refill(executor.executor_class)

    def release(self, executor: Executor) -> None:
        """The job of an executor has ended: its slot is free at once, and it exits by itself."""
        slots = self._slots[executor.executor_class]
        slots.failures = 0
        if not slots.out_of_service:
            slots.problem = ""
        executor.assignment, executor.is_leaving = None, True
        executor.set_timer(LEAVE_TIME, lambda: self._tasks.spawn(self._kill(executor)))
        self._refill(executor.executor_class)

    def discard(self, executor: Executor) -> None:
        """Kill an executor and free its slot."""
        executor.assignment, executor.is_leaving = None, True
        self._tasks.spawn(self._kill(executor))
        self._refill(executor.executor_class)

    def _free(self, executor_class: ExecutorClass) -> list[Executor]:
        return [
            one
            for one in self._executors.values()
            if one.executor_class == executor_class and not one.assignment and not one.is_leaving
        ]

    def _is_any_ready(self, executor_class: ExecutorClass) -> bool:
        return any(one.connection for one in self._free(executor_class))

    def _busy(self, executor_class: ExecutorClass) -> int:
        return sum(
            one.assignment is not None and one.executor_class == executor_class
            for one in self._executors.values()
        )

    def _working(self, executor_class: ExecutorClass) -> int:
        return sum(
            one.is_working and one.assignment is not None and one.executor_class == executor_class
            for one in self._executors.values()
        )

    def _refill(self, executor_class: ExecutorClass) -> None:
        """Start missing executors: at once if none is ready, after a pause if some crashed."""
        slots = self._slots[executor_class]
        if not self._open or not rules.is_warm(executor_class):
            return
        is_any_ready = self._is_any_ready(executor_class)
        pause = rules.pause_before_start(slots.failures, is_any_ready=is_any_ready)
        if not pause:
            self._fill(executor_class)
        elif not slots.refill_timer:
            loop = asyncio.get_running_loop()
            slots.refill_timer = loop.call_later(pause.total_seconds(), self._fill, executor_class)

    def _fill(self, executor_class: ExecutorClass) -> None:
        slots = self._slots[executor_class]
        if slots.refill_timer:
            slots.refill_timer.cancel()
            slots.refill_timer = None
        present = self._busy(executor_class) + len(self._free(executor_class))
        for _ in range(slots.usable + self._working(executor_class) - present):
            self._start(executor_class)

    def _start(self, executor_class: ExecutorClass) -> Executor:
        executor = Executor(token_urlsafe(32), executor_class)
        self._executors[executor.token] = executor
        limit = rules.time_to_start(executor_class, self._start_limit)
        executor.set_timer(limit, lambda: self._on_start_timeout(executor, limit))
        self._tasks.spawn(self._launch(executor))
        return executor

    async def _launch(self, executor: Executor) -> None:
        try:
            await self.manager.start(executor.token, executor.executor_class)
        except (OutsideError, OSError) as exc:
            self._on_lost(executor, f"could not be started: {exc}")

    def _on_start_timeout(self, executor: Executor, limit: timedelta) -> None:
        self._on_lost(executor, f"did not connect within {limit.total_seconds():g} s")
        self._tasks.spawn(self._kill(executor))

    def _on_lost(self, executor: Executor, reason: str) -> None:
        """An executor ended unexpectedly."""
        self._executors.pop(executor.token, None)
        executor.cancel_timer()
        executor.is_leaving = True
        assignment, executor.assignment = executor.assignment, None
        since = executor.connected_at
        served = timedelta(seconds=monotonic() - since) if since is not None else None
        if assignment is None or since is None:
            self._record_idle_loss(executor, reason, served)
        if self._open:
            if assignment:
                assignment.on_executor_lost(_loss_error(executor, reason))
            self._refill(executor.executor_class)

    def _record_idle_loss(self, executor: Executor, reason: str, served: timedelta | None) -> None:
        """An executor ended before it was given a job, or before it connected."""
        slots, is_crash = self._slots[executor.executor_class], rules.is_crash(connected_for=served)
        slots.failures = slots.failures + 1 if is_crash else 0
        if not slots.out_of_service:
            slots.problem = f"executor {executor.id} {reason}"
        log.warning(
            "executor crashed" if is_crash else "executor lost before it was given a job",
            extra={"executor": executor.id, "reason": reason, "in_a_row": slots.failures},
        )

    async def _send_unsent(self, executor: Executor) -> None:
        if executor.is_sending:
            return
        executor.is_sending = True
        while executor.connection and executor.unsent:
            await executor.connection.send_message(executor.unsent.pop(0))
        executor.is_sending = False

    async def _kill(self, executor: Executor) -> None:
        executor.cancel_timer()
        try:
            await self.manager.kill(executor.token)
        except (OutsideError, OSError):
            log.exception("executor could not be killed", extra={"executor": executor.id})
        if executor.connection:
            await executor.connection.close()
        self._executors.pop(executor.token, None)


def _loss_error(executor: Executor, cause: str) -> HordeError:
    if executor.connected_at is None:
        reason = HordeReason.EXECUTOR_SPINUP_FAILED
        return HordeError(reason, f"Executor failed to start: {executor.id} {cause}")
    return HordeError(HordeReason.EXECUTOR_DISCONNECTED, f"Executor {executor.id} {cause}")
