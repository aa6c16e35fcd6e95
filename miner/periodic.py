"""The periodic tasks: refresh validators, announce the address, delete old rows."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import connections
from django.utils import timezone

from compute_horde import startup
from compute_horde.adapters.chain_port import Chain, Metagraph
from compute_horde.concurrency.task_set import run_until_first
from compute_horde.cycles import cycle_at
from compute_horde.django.single_instance import run_exclusively
from compute_horde.errors import ChainError, ComputeHordeError
from compute_horde.signing import Signer
from miner.announcing import Announcer
from miner.config import Config
from miner.earnings import actions as earnings
from miner.hotkeys import actions as hotkeys
from miner.hotkeys.schedule import main_hotkey_schedule
from miner.hotkeys.served import ServedHotkey, load_hotkeys, primary
from miner.jobs import store
from miner.receipts import store as receipts
from miner.validators import actions as validators
from miner.validators.rules import StakedHotkey

log = logging.getLogger(__name__)

RAO_PER_TAO = 10**9
EVICT_EVERY = timedelta(hours=1)
RETRY = timedelta(seconds=10)
TIME_LIMIT = timedelta(minutes=5)
MAX_WAITS = 3
Failure = tuple[Announcer, ChainError]
LOCK = "miner keep"


class TaskHangsError(ComputeHordeError):
    """A periodic task hangs; the process ends, and its supervisor starts a new one."""


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A function to call once per `period`, or after `RETRY` when it failed."""

    name: str
    period: timedelta
    work: Callable[[], None]
    runs_at_once: bool = True


def evict(keep: timedelta) -> dict[str, int]:
    """Delete ended jobs and receipts older than `keep`; returns how many of each."""
    before = timezone.now() - keep
    gone = {"jobs": store.evict(before), "receipts": receipts.evict(before)}
    gone["earnings"] = earnings.evict(before, hotkeys.evict(before))
    if any(gone.values()):
        log.info("old rows evicted", extra=gone)
    return gone


class PeriodicTasks:
    """The periodic tasks of one miner."""

    def __init__(self, config: Config, hotkey: Signer, others: Sequence[ServedHotkey] = ()) -> None:
        self._config = config
        self._hotkey = hotkey
        self._announcers = [Announcer(config, one) for one in (primary(config, hotkey), *others)]
        self._schedule = main_hotkey_schedule(config, hotkey)
        # Those whose last periodic announcement failed.
        self._failed: list[Announcer] = []

    def tasks(self) -> list[PeriodicTask]:
        """The tasks to run; without a chain, only those that do not use it."""
        often = timedelta(seconds=self._config.score_seconds)
        always = [
            PeriodicTask("evict", EVICT_EVERY, self.evict),
            PeriodicTask("read scores and prices", often, self.read_scores),
        ]
        if not self._config.chain_url:
            return always
        refresh = timedelta(seconds=self._config.refresh_seconds)
        announce = timedelta(seconds=self._config.announce_seconds)
        tasks = [PeriodicTask("refresh validators", refresh, self.refresh), *always]
        # Not at once: the first refresh announces the address if that is needed.
        again = PeriodicTask("announce", announce, self.announce, runs_at_once=False)
        return [*tasks, again] if self._serving else tasks

    @property
    def _serving(self) -> bool:
        return self._config.serving and not self._config.trusted

    def refresh(self) -> None:
        """Store the validators of the metagraph, and the main hotkey when a cycle begins.

        Announces the addresses of hotkeys for which the chain has others.
        """
        config = self._config
        with self._chain(self._hotkey) as chain:
            metagraph = chain.metagraph()
            if not config.trusted:
                neurons = [
                    StakedHotkey(n.hotkey, Decimal(n.total_stake_rao) / RAO_PER_TAO)
                    for n in metagraph.neurons
                ]
                minimum = Decimal(str(config.minimum_stake))
                validators.refresh(neurons, minimum=minimum, count=config.validator_count)
            tempo = chain.hyperparameters().tempo
        cycle = cycle_at(metagraph.block, netuid=config.netuid, tempo=tempo)
        hotkeys.begin_cycle(cycle, self._schedule)
        own = {one.served.ss58_address for one in self._announcers}
        paid = {n.hotkey: n.emission_rao for n in metagraph.neurons if n.hotkey in own}
        earnings.record_pay(cycle.start, paid)
        missing = [one for one in self._announcers if one.is_missing(metagraph)]
        _raise_first(self._announce(missing if self._serving else [], metagraph))

    def announce(self) -> None:
        """Announce the addresses on the chain; after a failure, only those that failed."""
        with self._chain(self._hotkey) as chain:
            metagraph = chain.metagraph()
        present = [one for one in self._failed or self._announcers if one.is_registered(metagraph)]
        failures = self._announce(present, metagraph)
        self._failed = [one for one, _ in failures]
        _raise_first(failures)

    def _announce(self, announcers: Iterable[Announcer], metagraph: Metagraph) -> list[Failure]:
        """Announce each, though another one fails; those that failed."""
        failures = []
        for one in announcers:
            try:
                if not one.must_yield(metagraph):
                    with self._chain(one.served.signer) as chain:
                        one.announce(chain)
            except ChainError as exc:
                failures.append((one, exc))
        return failures

    def read_scores(self) -> None:
        """Read what validators publish of our scores; then compare what classes cost and earn."""
        if urls := self._config.score_urls:
            own = [one.served.ss58_address for one in self._announcers]
            log.info("scores read", extra={"scores": earnings.read_scores(urls, own)})
        earnings.update_prices(self._config.costs, self._config.prices)

    def evict(self) -> None:
        """Delete the jobs and receipts that are older than `retention_days`."""
        evict(timedelta(days=self._config.retention_days))

    @contextlib.contextmanager
    def _chain(self, hotkey: Signer) -> Iterator[Chain]:
        # The import takes half a second and 15 MiB; other tasks do not need it.
        from compute_horde.adapters.chain import connect

        with connect(str(self._config.chain_url), self._config.netuid, hotkey) as chain:
            yield chain


def _raise_first(failures: Sequence[Failure]) -> None:
    for _, problem in failures:
        raise problem


def start_in_thread(task: PeriodicTask) -> "asyncio.Future[BaseException | None]":
    """Run a task in a daemon thread; the result is its exception, or None.

    A daemon thread does not prevent the process from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[BaseException | None] = loop.create_future()

    def finish(problem: BaseException | None) -> None:
        if not done.done():
            done.set_result(problem)

    def work() -> None:
        problem: BaseException | None = None
        try:
            task.work()
        except Exception as exc:  # noqa: BLE001
            problem = exc
        finally:
            connections.close_all()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, problem)

    threading.Thread(target=work, name=task.name, daemon=True).start()
    return done


async def run_once(task: PeriodicTask) -> bool:
    """Run a task and wait for it; returns whether it succeeded. Never runs a task twice at a time.

    Raises:
        TaskHangsError: the task took longer than `MAX_WAITS` times `TIME_LIMIT`.
    """
    done = start_in_thread(task)
    for _ in range(MAX_WAITS):
        await asyncio.wait({done}, timeout=TIME_LIMIT.total_seconds())
        if done.done():
            break
        log.error("periodic task hangs", extra={"task": task.name})
    else:
        raise TaskHangsError(f"the periodic task {task.name!r} does not end; restart this process")
    if problem := done.result():
        log.error("periodic task failed", extra={"task": task.name}, exc_info=problem)
    return problem is None


async def repeat(task: PeriodicTask) -> None:
    """Run a task periodically; never returns."""
    if not task.runs_at_once:
        await asyncio.sleep(task.period.total_seconds())
    while True:
        succeeded = await run_once(task)
        pause = task.period if succeeded else min(RETRY, task.period)
        await asyncio.sleep(pause.total_seconds())


async def _run_tasks(tasks: list[PeriodicTask], hotkey: str | None) -> None:
    startup.ready(hotkey=hotkey, tasks=[task.name for task in tasks])
    await asyncio.gather(*map(repeat, tasks))


async def keep(tasks: list[PeriodicTask], hotkey: str | None = None) -> None:
    """Run the tasks until SIGTERM or Ctrl-C, in only one process at a time."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_until_first(run_exclusively(LOCK, lambda: _run_tasks(tasks, hotkey)), stop.wait())


def run(config: Config) -> None:
    """Run the process `python -m miner keep`."""
    first, *others = load_hotkeys(config)
    names = " ".join(one.ss58_address for one in (first, *others))
    asyncio.run(keep(PeriodicTasks(config, first.signer, others).tasks(), names))
