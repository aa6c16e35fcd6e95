"""One miner process: its parts, put together, started and ended."""

import asyncio
import logging
from datetime import timedelta

from compute_horde.django.database import close_threads, in_database
from compute_horde.signing import Signer
from miner.config import Config
from miner.executors.manager import Setting, load
from miner.executors.pool import Pool
from miner.jobs import ledger
from miner.jobs.actions import Desk
from miner.jobs.floor import Floor
from miner.jobs.output import Output
from miner.jobs.relay import Relay
from miner.jobs.rules import Terms
from miner.receipts.actions import Book
from miner.validators.actions import Directory
from miner.validators.doorman import Doorman

log = logging.getLogger(__name__)


WRITE_SECONDS = 1.0


class Miner:
    """Everything a consumer may need."""

    def __init__(self, config: Config, hotkey: Signer) -> None:
        self.config = config
        self.hotkey = hotkey
        self.directory = Directory(config.validators)
        self.doorman = Doorman(config.strangers_per_address)
        self.relay = Relay()
        self.book = Book()
        self.output = Output()
        setting = setting_of(config, hotkey)
        manager = load(config.executor_manager)
        self.pool = Pool(
            lambda on_exit: manager(setting, on_exit),
            start_limit=timedelta(seconds=config.start_seconds),
        )
        self.floor = Floor(hotkey, self.pool, self.relay)
        self.desk = Desk(hotkey, terms_of(config), self.directory, self.pool, self.floor, self.book)
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """End what an earlier life left unfinished, learn who may speak, start executors."""
        if ended := await in_database(ledger.end_unfinished):
            log.warning("jobs of an earlier life ended", extra={"jobs": len(ended)})
        await self.directory.read()
        self._following = asyncio.create_task(self.directory.follow())
        await self.pool.open()

    async def drain(self) -> None:
        """Take no more jobs, let those going on finish for a moment, end and tell the others.

        Then end the executors, while the sockets still stand.
        """
        self.desk.closing = True
        patience = self.config.shutdown_seconds
        try:
            async with asyncio.timeout(patience + WRITE_SECONDS):
                await self.floor.close(patience)
                await self.book.close()
        except TimeoutError:
            log.error("the database did not take the last facts; the next start ends their jobs")
        await self.pool.close()

    async def close(self) -> None:
        """End everything."""
        if not self.desk.closing:
            await self.drain()
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        close_threads()


def terms_of(config: Config) -> Terms:
    """How strict the settings make this miner."""
    return Terms(
        check_receipts=config.check_receipts,
        require_signature=config.require_validator_signature,
        trusted=config.trusted,
        startup=timedelta(seconds=config.startup_seconds),
        grace=timedelta(seconds=config.grace_seconds),
        streaming_images=config.streaming_images,
    )


def setting_of(config: Config, hotkey: Signer) -> Setting:
    """What the executor manager is told."""
    return Setting(
        miner_address=config.executors_see_us_at,
        owner=config.owner or hotkey.ss58_address,
        counts=config.executors,
        work_dir=config.work_dir,
        docker_socket=config.docker_socket,
        docker_servers=config.docker_servers,
        executor_image=config.executor_image,
        executor_address=config.executor_address,
    )
