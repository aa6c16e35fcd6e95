"""The process that fetches receipts from miners, until SIGTERM."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

import uvloop

from compute_horde import startup
from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.django import notifications
from compute_horde.django.database import close_threads, in_database
from compute_horde.django.single_instance import run_until_signal
from validator.config import Config, config
from validator.network.actions import serving_miners
from validator.network.manifest_store import CHANNEL as NETWORK
from validator.receipts import pages, store
from validator.receipts.page_reader import Acceptance, PageSource
from validator.receipts.recorder import TransferRecorder
from validator.receipts.transfer import CATCH_UP_SLOTS, POLL_SLOTS, ReceiptTransfer
from validator.receipts.verifier import Verifier

log = logging.getLogger(__name__)

LOCK = "validator receipts"
COUNT_SECONDS = 5.0
CATCH_UP_SECONDS = 60.0
# Miners decide how often addresses and manifests change.
NETWORK_SECONDS = 2.0


class ReceiptFetcher:
    """Fetches receipts from the miners in the stored metagraph."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._acceptance = Acceptance(timedelta(days=config.receipt_keep_days))
        self._verifier = Verifier(config.receipt_processes)
        self._recorder = TransferRecorder()
        self._network_changed = asyncio.Event()
        self._transfer = ReceiptTransfer(
            self._acceptance,
            self._verifier,
            self._recorder,
            interval_seconds=config.receipt_interval_seconds,
        )

    async def run(self) -> None:
        """Run until cancelled, then finish writing."""
        try:
            self._acceptance.quota.load(await in_database(store.count_by_hour))
            await self._read_validators()
            await self._read_miners()
            startup.ready(hotkey=self._config.hotkey.ss58_address)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._note_changes())
                group.create_task(self._follow_network())
                group.create_task(self._catch_up_always())
                group.create_task(self._count_always())
        finally:
            await self._transfer.close()
            await self._recorder.close()
            self._verifier.close()

    async def _note_changes(self) -> None:
        async for _ in notifications.listen(NETWORK):
            self._network_changed.set()

    async def _follow_network(self) -> None:
        """Read the miners when addresses may have changed, once in `NETWORK_SECONDS` at most."""
        while True:
            await self._network_changed.wait()
            self._network_changed.clear()
            await self._read_miners()
            await asyncio.sleep(NETWORK_SECONDS)

    async def _catch_up_always(self) -> None:
        requests = POLL_SLOTS
        while True:
            await self._transfer.catch_up(requests)
            await asyncio.sleep(CATCH_UP_SECONDS)
            requests = CATCH_UP_SLOTS

    async def _count_always(self) -> None:
        while True:
            await self._read_validators()
            self._transfer.raise_failures()
            await self._recorder.write_counts(
                miners=len(self._transfer), pages_left=self._transfer.pages_left()
            )
            await asyncio.sleep(COUNT_SECONDS)

    async def _read_validators(self) -> None:
        self._acceptance.validators = await in_database(
            store.known_validators,
            self._config.hotkey.ss58_address,
            self._config.receipt_min_stake * RAO_PER_TAO,
        )

    async def _read_miners(self) -> None:
        validator = self._config.hotkey.ss58_address
        miners = await in_database(serving_miners, validator, self._config.reach)
        sources = [PageSource(one.hotkey, one.host, one.port) for one in miners]
        checkpoints = await self._checkpoints(self._transfer.not_served(sources))
        self._transfer.serve(sources, checkpoints)

    async def _checkpoints(self, sources: Sequence[PageSource]) -> list[store.Checkpoint]:
        if not sources:
            return []
        oldest = pages.older_pages(time.time())[-1]
        addresses = {source.hotkey: source.address for source in sources}
        return await in_database(store.read_checkpoints, oldest, addresses)


async def _run_until_signal() -> None:
    try:
        await run_until_signal(LOCK, ReceiptFetcher(config).run)
    finally:
        await asyncio.to_thread(close_threads)


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    uvloop.run(_run_until_signal())
