"""What has to be done again and again: announce, refresh validators, forget old rows."""

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

from compute_horde.adapters.chain_port import Chain, Metagraph
from compute_horde.adapters.wallet import load_hotkey
from compute_horde.signing import Signer
from miner.config import Config
from miner.jobs import ledger
from miner.receipts import actions as receipts
from miner.validators import actions as validators
from miner.validators.rules import Staked

log = logging.getLogger(__name__)

RAO_PER_TAO = 10**9
EVICT_EVERY = timedelta(hours=1)
RETRY = timedelta(seconds=10)
LIMIT = timedelta(minutes=5)
HTTP_PORTS = {"wss": 443, "https": 443}


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every `period`; after a failure sooner."""

    name: str
    period: timedelta
    work: Callable[[], None]


class Keeper:
    """The chores of one miner."""

    def __init__(self, config: Config, hotkey: Signer) -> None:
        self._config = config
        self._hotkey = hotkey

    def chores(self) -> list[Chore]:
        """Without a chain only what is old is forgotten."""
        evict = Chore("evict", EVICT_EVERY, self.evict)
        if not self._config.chain_url:
            return [evict]
        refresh = timedelta(seconds=self._config.refresh_seconds)
        announce = timedelta(seconds=self._config.announce_seconds)
        chores = [Chore("refresh validators", refresh, self.refresh), evict]
        return [*chores, Chore("announce", announce, self.announce)] if self._serving else chores

    @property
    def _serving(self) -> bool:
        return self._config.serving and not self._config.trusted

    def refresh(self) -> None:
        """Take over who is a validator; announce ourselves when the chain has us elsewhere."""
        config = self._config
        with self._chain() as chain:
            metagraph = chain.metagraph()
            if not config.trusted:
                neurons = [
                    Staked(n.hotkey, Decimal(n.total_stake_rao) / RAO_PER_TAO)
                    for n in metagraph.neurons
                ]
                minimum = Decimal(str(config.minimum_stake))
                validators.refresh(neurons, minimum=minimum, count=config.validator_count)
            if self._serving and self._is_elsewhere(metagraph):
                self._serve(chain)

    def announce(self) -> None:
        """Tell the chain where we are."""
        with self._chain() as chain:
            self._serve(chain)

    def evict(self) -> None:
        """Forget jobs and receipts after their time."""
        before = timezone.now() - timedelta(days=self._config.retention_days)
        gone = {"jobs": ledger.evict(before), "receipts": receipts.evict(before)}
        if any(gone.values()):
            log.info("old rows forgotten", extra=gone)

    @contextlib.contextmanager
    def _chain(self) -> Iterator[Chain]:
        # It costs a second and 60 MB, which only a chore on the chain is to pay.
        from compute_horde.adapters.chain import connect

        with connect(str(self._config.chain_url), self._config.netuid, self._hotkey) as chain:
            yield chain

    def _address(self) -> tuple[str, int]:
        config = self._config
        ip = str(config.external_ip or address_towards(str(config.chain_url)))
        return ip, config.external_port or config.port

    def _is_elsewhere(self, metagraph: Metagraph) -> bool:
        """Whether we are registered but not known at our address."""
        ours = [n for n in metagraph.neurons if n.hotkey == self._hotkey.ss58_address]
        return bool(ours) and (ours[0].ip, ours[0].port) != self._address()

    def _serve(self, chain: Chain) -> None:
        ip, port = self._address()
        chain.serve_axon(ip, port)
        log.info("announced", extra={"ip": ip, "port": port})
        if not ipaddress.ip_address(ip).is_global:
            log.warning("announced address is not public; set MINER_EXTERNAL_IP", extra={"ip": ip})


def address_towards(url: str) -> str:
    """The address of ours that packets to `url` leave from; nothing is sent."""
    parts = urlsplit(url)
    port = parts.port or HTTP_PORTS.get(parts.scheme, 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or url, port))
        return str(probe.getsockname()[0])


async def attempt(chore: Chore) -> bool:
    """Do a chore in a thread that cannot keep the process from ending; whether it went well."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[BaseException | None] = loop.create_future()

    def tell(problem: BaseException | None) -> None:
        if not done.done():
            done.set_result(problem)

    def work() -> None:
        problem: BaseException | None = None
        try:
            chore.work()
        except Exception as exc:  # noqa: BLE001
            problem = exc
        finally:
            connections.close_all()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, problem)

    threading.Thread(target=work, name=chore.name, daemon=True).start()
    try:
        problem = await asyncio.wait_for(done, LIMIT.total_seconds())
    except TimeoutError as exc:
        problem = exc
    if problem:
        log.error("chore failed", extra={"chore": chore.name}, exc_info=problem)
    return problem is None


async def repeat(chore: Chore) -> None:
    """Do a chore for ever."""
    while True:
        went_well = await attempt(chore)
        pause = chore.period if went_well else min(RETRY, chore.period)
        await asyncio.sleep(pause.total_seconds())


async def keep(chores: list[Chore]) -> None:
    """Do all chores until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    repeating = [asyncio.create_task(repeat(chore), name=chore.name) for chore in chores]
    await stop.wait()
    for task in repeating:
        task.cancel()
    await asyncio.gather(*repeating, return_exceptions=True)


def run(config: Config) -> None:
    """The process `python -m miner keep`."""
    keeper = Keeper(config, load_hotkey(config.hotkey_file))
    asyncio.run(keep(keeper.chores()))
