"""An executor of the pool, and the slots of its class."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from compute_horde.errors import HordeError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.message import Message
from miner.executors.manager import executor_id


class ExecutorConnection(Protocol):
    """The open connection of an executor."""

    async def send_message(self, message: Message) -> None: ...

    async def close(self, code: int = ...) -> None: ...


class ReservingJob(Protocol):
    """A job that an executor is reserved for."""

    @property
    def job_uuid(self) -> str: ...

    def on_executor_lost(self, error: HordeError) -> None: ...


@dataclass(slots=True, eq=False)
class Executor:
    """One executor process, from its start to its end; it runs at most one job."""

    token: str
    executor_class: ExecutorClass
    connection: ExecutorConnection | None = None
    peer: str | None = None
    assignment: ReservingJob | None = None
    connected_at: float | None = None
    is_working: bool = False
    is_leaving: bool = False
    timer: asyncio.TimerHandle | None = None
    unsent: list[Message] = field(default_factory=list)
    is_sending: bool = False

    @property
    def id(self) -> str:
        """Its name in logs, containers and directories."""
        return executor_id(self.token)

    @property
    def state(self) -> str:
        """Its state, for the admin page and the metrics."""
        if self.is_leaving:
            return "leaving"
        if self.assignment:
            return "busy" if self.connection else "starting for a job"
        return "idle" if self.connection else "starting"

    def set_timer(self, delay: timedelta, callback: Callable[[], object]) -> None:
        """Call `callback` after `delay`; replaces an earlier timer."""
        self.cancel_timer()
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(delay.total_seconds(), callback)

    def cancel_timer(self) -> None:
        """Stop the timer, if there is one."""
        if self.timer:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True)
class ClassSlots:
    """The executors of one class: how many, and their recent failures."""

    configured: int
    out_of_service: int = 0
    failures: int = 0
    problem: str = ""
    refill_timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> int:
        """The number of executors that can be offered now."""
        return max(0, self.configured - self.out_of_service)
