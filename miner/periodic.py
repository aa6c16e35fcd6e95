"""The periodic tasks: refresh validators, announce the address, delete old rows."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from django.db import connections
from django.utils import timezone

from compute_horde import startup
from compute_horde.adapters.chain_port import Chain, Metagraph, Neuron, endpoints
from compute_horde.adapters.wallet import load_hotkey
from compute_horde.concurrency.task_set import run_until_first
from compute_horde.django.single_instance import run_exclusively
from compute_horde.errors import ComputeHordeError
from compute_horde.signing import Signer
from miner.config import Config
from miner.jobs import store
from miner.other_copy import CopyDetector, ProbeResult, probe
from miner.receipts import store as receipts
from miner.validators import actions as validators
from miner.validators.rules import StakedHotkey

log = logging.getLogger(__name__)

RAO_PER_TAO = 10**9
EVICT_EVERY = timedelta(hours=1)
RETRY = timedelta(seconds=10)
TIME_LIMIT = timedelta(minutes=5)
MAX_WAITS = 3
LOCK = "miner keep"
HTTP_PORTS = {"wss": 443, "https": 443}


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
    if any(gone.values()):
        log.info("old rows evicted", extra=gone)
    return gone


class PeriodicTasks:
    """The periodic tasks of one miner."""

    def __init__(self, config: Config, hotkey: Signer) -> None:
        self._config = config
        self._hotkey = hotkey
        self._copy_detector = CopyDetector()

    def tasks(self) -> list[PeriodicTask]:
        """The tasks to run; without a chain, only the one that deletes old rows."""
        evict = PeriodicTask("evict", EVICT_EVERY, self.evict)
        if not self._config.chain_url:
            return [evict]
        refresh = timedelta(seconds=self._config.refresh_seconds)
        announce = timedelta(seconds=self._config.announce_seconds)
        tasks = [PeriodicTask("refresh validators", refresh, self.refresh), evict]
        # Not at once: the first refresh announces the address if that is needed.
        again = PeriodicTask("announce", announce, self.announce, runs_at_once=False)
        return [*tasks, again] if self._serving else tasks

    @property
    def _serving(self) -> bool:
        return self._config.serving and not self._config.trusted

    def refresh(self) -> None:
        """Store the validators of the metagraph; announce the address if the chain has another."""
        config = self._config
        with self._chain() as chain:
            metagraph = chain.metagraph()
            if not config.trusted:
                neurons = [
                    StakedHotkey(n.hotkey, Decimal(n.total_stake_rao) / RAO_PER_TAO)
                    for n in metagraph.neurons
                ]
                minimum = Decimal(str(config.minimum_stake))
                validators.refresh(neurons, minimum=minimum, count=config.validator_count)
            if self._serving and (neuron := self._registered_neuron(metagraph)):
                if (neuron.ip, neuron.port) == self._address():
                    self._copy_detector.mark_announced()
                else:
                    self._announce_address(chain, metagraph)

    def announce(self) -> None:
        """Announce the address on the chain."""
        with self._chain() as chain:
            self._announce_address(chain, chain.metagraph())

    def evict(self) -> None:
        """Delete the jobs and receipts that are older than `retention_days`."""
        evict(timedelta(days=self._config.retention_days))

    @contextlib.contextmanager
    def _chain(self) -> Iterator[Chain]:
        # The import takes half a second and 15 MiB; other tasks do not need it.
        from compute_horde.adapters.chain import connect

        with connect(str(self._config.chain_url), self._config.netuid, self._hotkey) as chain:
            yield chain

    def _address(self) -> tuple[str, int]:
        config = self._config
        ip = str(config.external_ip or address_towards(endpoints(str(config.chain_url))[0]))
        return ip, config.external_port or config.port

    def _registered_neuron(self, metagraph: Metagraph) -> Neuron | None:
        """This miner's entry in the metagraph, or None."""
        hotkey = self._hotkey.ss58_address
        return next((n for n in metagraph.neurons if n.hotkey == hotkey), None)

    def _announce_address(self, chain: Chain, metagraph: Metagraph) -> None:
        ip, port = self._address()
        if self._must_yield(metagraph):
            return
        chain.serve_axon(ip, port)
        self._copy_detector.mark_announced()
        log.info("announced", extra={"ip": ip, "port": port})
        if not ipaddress.ip_address(ip).is_global:
            log.warning("announced address is not public; set MINER_EXTERNAL_IP", extra={"ip": ip})

    def _must_yield(self, metagraph: Metagraph) -> bool:
        """Whether another copy of this miner prevents the announcement; logs each copy found."""
        registered, (ip, port) = self._registered_neuron(metagraph), self._address()
        if registered is None or not registered.port:
            return False
        if (registered.ip, registered.port) == (ip, port):
            return False
        found = probe(registered.ip, registered.port, self._hotkey.ss58_address)
        where = {"other": f"{registered.ip}:{registered.port}", "ours": f"{ip}:{port}"}
        if found is ProbeResult.UNPROVEN:
            log.warning(
                "the miner at the address that the chain has for this hotkey did not prove that it "
                "has the hotkey; announced nevertheless; if the other miner is yours, stop it",
                extra=where,
            )
        if found is not ProbeResult.OTHER_COPY:
            return False
        if self._copy_detector.must_yield():
            log.error(
                "not announced, because another copy with this hotkey answers: stop it, or set "
                "MINER_SERVING=false here",
                extra=where,
            )
            return True
        log.error(
            "announced, although another copy with this hotkey still answers: stop it",
            extra=where,
        )
        return False


def address_towards(url: str) -> str:
    """The local address that packets to `url` are sent from; sends nothing."""
    parts = urlsplit(url)
    port = parts.port or HTTP_PORTS.get(parts.scheme, 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or url, port))
        return str(probe.getsockname()[0])


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
    hotkey = load_hotkey(config.hotkey_file)
    asyncio.run(keep(PeriodicTasks(config, hotkey).tasks(), hotkey.ss58_address))
