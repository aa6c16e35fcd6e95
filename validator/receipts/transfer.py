"""Fetches the receipt pages of all serving miners, verifies them and stores the receipts.

Each miner has a task of its own, so that a slow or hostile one delays no other: what it costs is
bounded per request, requests share a number of slots, and after a failure its next request waits,
each time twice as long.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import django.db

from compute_horde.concurrency.backoff import Backoff
from compute_horde.concurrency.task_set import TaskSet
from validator.receipts import pages
from validator.receipts.page_client import PageClient
from validator.receipts.page_reader import (
    Acceptance,
    MinerPageReader,
    PagePosition,
    PageSource,
    ReadLimits,
)
from validator.receipts.pages import TransferError, TransferProblem
from validator.receipts.recorder import TransferRecorder
from validator.receipts.store import Checkpoint
from validator.receipts.verifier import Verifier

log = logging.getLogger(__name__)

# Seconds of a whole request, connecting included.
POLL_TIMEOUT = 1.0
CATCH_UP_TIMEOUT = 3.0
POLL_SLOTS = 50
CATCH_UP_SLOTS = 10
LONGEST_PAUSE_SECONDS = 60.0


class MinerPages:
    """The pages of one miner at one address."""

    def __init__(self, source: PageSource) -> None:
        self.source = source
        # Whether the last request for its active pages was answered; None before.
        self.is_reachable: bool | None = None
        self._pages: dict[int, PagePosition] = {}

    def page(self, number: int) -> PagePosition:
        """The state of a page."""
        return self._pages.setdefault(number, PagePosition(number))

    def unread(self, numbers: Iterable[int]) -> list[PagePosition]:
        """Of these pages, those that were not read to their end."""
        return [page for page in map(self.page, numbers) if not page.is_over]

    def drop_before(self, oldest: int) -> None:
        """Forget pages that are not read any more."""
        self._pages = {number: page for number, page in self._pages.items() if number >= oldest}


class ReceiptTransfer:
    """Keeps up with the active pages of all miners, and catches up with those of five hours.

    `now` is the present UNIX time.
    """

    def __init__(
        self,
        acceptance: Acceptance,
        verifier: Verifier,
        recorder: TransferRecorder,
        *,
        interval_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reader = MinerPageReader(acceptance, verifier, recorder, now)
        self._recorder = recorder
        self._interval = interval_seconds
        self._now = now
        self._poll = ReadLimits(POLL_TIMEOUT, asyncio.Semaphore(POLL_SLOTS))
        self._miners: dict[str, MinerPages] = {}
        self._pollers: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()

    def __len__(self) -> int:
        return len(self._miners)

    def not_served(self, sources: Iterable[PageSource]) -> list[PageSource]:
        """Of these miners, the new ones and those with a new address."""
        served = {miner.source for miner in self._miners.values()}
        return [source for source in sources if source not in served]

    def serve(self, sources: Iterable[PageSource], checkpoints: Iterable[Checkpoint]) -> None:
        """Read the pages of these miners, and of no others, from now on.

        `checkpoints` count for miners that are new or have a new address.
        """
        wanted = {source.hotkey: source for source in sources}
        for hotkey, miner in list(self._miners.items()):
            if wanted.get(hotkey) != miner.source:
                self._pollers.pop(hotkey).cancel()
                del self._miners[hotkey]
        new = {hotkey: wanted[hotkey] for hotkey in wanted.keys() - self._miners.keys()}
        clients = {hotkey: PageClient(one.host, one.port) for hotkey, one in new.items()}
        self._miners |= {hotkey: MinerPages(source) for hotkey, source in new.items()}
        for one in checkpoints:
            if one.miner in clients and clients[one.miner].address == one.address:
                page = self._miners[one.miner].page(one.page)
                page.offset, page.given_up = one.offset, one.given_up
        for hotkey, client in clients.items():
            self._pollers[hotkey] = self._tasks.spawn(self._keep_up(self._miners[hotkey], client))

    async def catch_up(self, requests: int = CATCH_UP_SLOTS) -> None:
        """Read the older pages that were not read to their end, with so many requests at once.

        Miners that do not answer are left out.
        """
        oldest = pages.page_at(self._now()) - pages.CATCH_UP_PAGES
        limits = ReadLimits(CATCH_UP_TIMEOUT, asyncio.Semaphore(requests))
        async with asyncio.TaskGroup() as group:
            for miner in self._miners.values():
                miner.drop_before(oldest)
                if miner.is_reachable is not False:
                    group.create_task(self._catch_up(miner, limits))

    def pages_left(self) -> int:
        """How many older pages of reachable miners were not read to their end."""
        older = pages.older_pages(self._now())
        reachable = (miner for miner in self._miners.values() if miner.is_reachable)
        return sum(len(miner.unread(older)) for miner in reachable)

    def raise_failures(self) -> None:
        """Raise what ended the reading of a miner's pages, such as a lost database."""
        for poller in self._pollers.values():
            if poller.done():
                poller.result()

    async def close(self) -> None:
        """End all tasks."""
        await self._tasks.cancel()

    async def _keep_up(self, miner: MinerPages, client: PageClient) -> None:
        """Read the active pages at each interval; after a failure, later."""
        backoff = Backoff(self._interval, max(LONGEST_PAUSE_SECONDS, self._interval))
        try:
            while True:
                began = time.monotonic()
                if is_good := await self._read_active(miner, client):
                    backoff.reset()
                pause = self._interval if is_good else backoff.take()
                await asyncio.sleep(max(pause - (time.monotonic() - began), 0))
        finally:
            client.close()

    async def _read_active(self, miner: MinerPages, client: PageClient) -> bool:
        """Read the active pages; whether the miner may be asked again at the usual time."""
        hotkey = miner.source.hotkey
        try:
            for number in pages.active_pages(self._now()):
                if not await self._read(hotkey, client, miner.page(number), self._poll):
                    return False
        except TransferError as exc:
            miner.is_reachable = False
            self._recorder.failed(hotkey, client.address, exc.problem)
            return False
        miner.is_reachable = True
        return True

    async def _catch_up(self, miner: MinerPages, limits: ReadLimits) -> None:
        """Read older pages of a miner, newest first, until one cannot be read."""
        hotkey, client = miner.source.hotkey, PageClient(miner.source.host, miner.source.port)
        try:
            for page in miner.unread(pages.older_pages(self._now())):
                if not await self._read(hotkey, client, page, limits):
                    return
        except TransferError as exc:
            self._recorder.failed(hotkey, client.address, exc.problem)
        finally:
            client.close()

    async def _read(
        self, hotkey: str, client: PageClient, page: PagePosition, limits: ReadLimits
    ) -> bool:
        """Read a page as `MinerPageReader.read` does, at the cost of this miner only.

        Raises:
            TransferError: the page could not be read, also because of a defect of this program
                that is specific to what the miner sent.
            django.db.Error: the database failed, which concerns all miners.
        """
        try:
            return await self._reader.read(hotkey, client, page, limits)
        except (TransferError, django.db.Error):
            raise
        except Exception as exc:
            log.exception(
                "reading receipts of a miner failed; its other pages are read later",
                extra={"miner": hotkey, "address": client.address, "page": page.number},
            )
            raise TransferError(TransferProblem.UNEXPECTED_ERROR, repr(exc)) from exc
