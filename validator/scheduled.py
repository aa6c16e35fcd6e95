"""The processes of periodic tasks: the Celery worker, and beat, which sends tasks when due."""

import asyncio
import logging
import threading
import time
from typing import Any

from celery import beat as celery_beat
from celery.schedules import schedule
from celery.signals import worker_ready, worker_shutting_down

from compute_horde import startup
from compute_horde.django.single_instance import run_until_signal
from compute_horde.platform.forced_exit import STOP_SECONDS, exit_within
from validator.celery import ROUTES, TASKS, app
from validator.config import config

log = logging.getLogger(__name__)

LOCK = "validator beat"
# Any of the periodic tasks may last minutes, and none may delay another.
THREADS = len(TASKS)


def work() -> None:
    """Run tasks until SIGTERM; tasks that do not end in time are abandoned and run again."""
    worker_ready.connect(_report_ready)
    worker_shutting_down.connect(_force_exit_later)
    worker = app.Worker(
        pool_cls="threads",
        concurrency=THREADS,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        loglevel="INFO",
    )
    worker.start()


def _report_ready(**_: object) -> None:
    queues = sorted({route["queue"] for route in ROUTES.values()})
    startup.ready(hotkey=config.hotkey.ss58_address, netuid=config.netuid, queues=queues)


def _force_exit_later(**_: object) -> None:
    """A task of the chain may last minutes."""
    exit_within(STOP_SECONDS, "tasks were still running and are abandoned")


class BeatScheduler(celery_beat.Scheduler):
    """Keeps the schedule in memory; at the start every task is due and checks itself if it is."""

    max_interval: int  # Celery always sets it, whatever the stub says.

    def setup_schedule(self) -> None:
        """Load the schedule from the settings."""
        self.merge_inplace(self.app.conf.beat_schedule)
        self._due_at: dict[str, float] = {}

    def tick(self, *_: Any, **__: Any) -> float:
        """Send the tasks that are due; return the seconds until the next one.

        Celery's own scheduler uses the wall clock and stops sending when that is set back.
        """
        for name, entry in self.schedule.items():
            if self._due_at.get(name, 0.0) <= time.monotonic():
                self.apply_entry(entry, producer=self.producer)
                assert isinstance(entry.schedule, schedule)  # noqa: S101
                pause = entry.schedule.seconds
                self._due_at[name] = time.monotonic() + pause
        next_at = min(self._due_at.values(), default=float("inf"))
        return max(min(next_at - time.monotonic(), self.max_interval), 0.0)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a task; when the broker is unreachable, only log: the next run comes soon."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except celery_beat.SchedulingError as exc:
            log.warning("task not sent", extra={"task": entry.name, "problem": str(exc)})


def beat() -> None:
    """Send tasks when they are due; waits while another beat process runs."""
    asyncio.run(run_until_signal(LOCK, _beat))


async def _beat() -> None:
    """Run Celery's loop in a daemon thread, so that it cannot keep the process alive."""
    service = celery_beat.Service(app, scheduler_cls=BeatScheduler)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            service.start()
        except Exception:
            log.exception("beat failed")
        finally:
            loop.call_soon_threadsafe(ended.set)

    app.finalize()
    threading.Thread(target=run, name=LOCK, daemon=True).start()
    startup.ready(tasks=sorted(name.rpartition(".")[2] for name in TASKS))
    try:
        await ended.wait()
    finally:
        service.stop()
