"""The process as a whole: which miners it reads, what it stores, and that it ends cleanly."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from tests.eventually import eventually
from tests.peers.keys import MINER, OTHER_MINER, STRANGER, VALIDATOR
from tests.validator.conftest import configured
from tests.validator.receipts.published import Publisher, http_server, line, started
from validator.network.actions import CHANNEL as NETWORK
from validator.network.models import Neuron
from validator.receipts import pages, process, quota, store
from validator.receipts.models import PageCheckpoint, Receipt, TransferCount, TransferStatus
from validator.receipts.process import RAO_PER_TAO, ReceiptFetcher
from validator.receipts.store import Checkpoint

pytestmark = pytest.mark.django_db(transaction=True)

NEWEST = pages.page_at(time.time())
STARTS_WITHIN = 60.0


@asynccontextmanager
async def fetching(**fields: Any) -> AsyncIterator[None]:
    fetcher = ReceiptFetcher(configured(receipt_interval_seconds=0.05, **fields))
    task = asyncio.create_task(fetcher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def register(hotkey: str, port: int = 0, **fields: Any) -> None:
    about = {"coldkey": hotkey, "uid": port, "ip": "127.0.0.1", "seen_at": timezone.now()}
    Neuron.objects.update_or_create(hotkey=hotkey, defaults=about | {"port": port} | fields)
    notify(NETWORK)


async def stored(number: int) -> None:
    async def is_stored() -> bool:
        return await in_database(Receipt.objects.count) == number

    await eventually(is_stored, within=STARTS_WITHIN)


async def test_reading_goes_on_after_a_restart_without_loss_or_repetition() -> None:
    publisher = Publisher()
    publisher.pages[NEWEST] = first = line() + line()
    async with http_server(publisher.handle) as port:
        await in_database(register, MINER.ss58_address, port)
        async with fetching():
            await stored(2)
        publisher.pages[NEWEST] += line()
        publisher.requests.clear()
        async with fetching():
            await stored(3)
    starts = {start for page, start in publisher.requests if page == NEWEST}
    assert min(starts) == len(first)
    checkpoint = await in_database(PageCheckpoint.objects.get)
    assert checkpoint.offset == len(publisher.pages[NEWEST])


async def test_miners_that_appear_later_are_read_too_and_their_status_is_written() -> None:
    publisher = Publisher()
    publisher.pages[NEWEST] = line(
        started(miner_hotkey=OTHER_MINER.ss58_address), miner=OTHER_MINER
    )
    async with http_server(publisher.handle) as port, fetching():
        await in_database(register, OTHER_MINER.ss58_address, port)
        await stored(1)
        has_status = TransferStatus.objects.filter(fetched_at__isnull=False).exists
        await eventually(lambda: in_database(has_status), within=STARTS_WITHIN)


async def test_many_notifications_are_answered_by_one_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[str] = []
    is_drained = asyncio.Event()

    def serving(validator: str, reach: object) -> list[object]:
        reads.append(validator)
        return []

    async def listen(channel: str) -> AsyncIterator[str]:
        yield channel
        # One read at the start, and that of the first notification.
        await eventually(lambda: len(reads) == 2, within=STARTS_WITHIN)
        for _ in range(50):
            yield channel
            # Long enough for a read of the database.
            await in_database(int)
        is_drained.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(process, "NETWORK_SECONDS", 3600.0)
    monkeypatch.setattr(process, "serving_miners", serving)
    monkeypatch.setattr(process.notifications, "listen", listen)
    async with fetching(), asyncio.timeout(STARTS_WITHIN):
        await is_drained.wait()
    assert len(reads) == 2


async def test_checkpoints_are_read_of_new_and_moved_miners_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, str]] = []
    reads: list[str] = []

    def read_checkpoints(oldest: int, addresses: dict[str, str]) -> list[Checkpoint]:
        asked.append(addresses)
        return []

    def serving(*args: Any) -> list[Any]:
        reads.append("")
        return real(*args)

    real = process.serving_miners
    monkeypatch.setattr(process, "NETWORK_SECONDS", 0.0)
    monkeypatch.setattr(process, "serving_miners", serving)
    monkeypatch.setattr(store, "read_checkpoints", read_checkpoints)
    await in_database(register, MINER.ss58_address, 1)
    async with fetching():
        for count in (2, 3, 4):
            await eventually(lambda count=count: len(reads) >= count, within=STARTS_WITHIN)
            await in_database(notify, NETWORK)
        await in_database(register, MINER.ss58_address, 2)
        await eventually(lambda: len(asked) == 2, within=STARTS_WITHIN)
    assert asked == [{MINER.ss58_address: f"127.0.0.1:{port}"} for port in (1, 2)]


async def test_stored_receipts_count_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "KEPT_RECEIPTS", 2)
    publisher = Publisher()
    publisher.pages[NEWEST] = line() + line()
    async with http_server(publisher.handle) as port:
        await in_database(register, MINER.ss58_address, port)
        async with fetching():
            await stored(2)
        publisher.pages[NEWEST] += line()
        too_many = TransferCount.objects.filter(reason="too_many").exists
        async with fetching():
            await eventually(lambda: in_database(too_many), within=STARTS_WITHIN)
    await stored(2)


async def test_receipts_of_validators_with_too_little_stake_are_not_stored() -> None:
    publisher = Publisher()
    publisher.pages[NEWEST] = b"".join(
        line(started(validator_hotkey=key.ss58_address), validator=key)
        for key in (STRANGER, OTHER_MINER, VALIDATOR)
    )
    async with http_server(publisher.handle) as port:
        rao = RAO_PER_TAO
        await in_database(register, STRANGER.ss58_address, stake_rao=1000 * rao)
        await in_database(register, OTHER_MINER.ss58_address, stake_rao=1000 * rao - 1)
        await in_database(register, MINER.ss58_address, port)
        async with fetching(receipt_min_stake=1000):
            await stored(2)
    issuers = await in_database(lambda: {row.validator_hotkey for row in Receipt.objects.all()})
    assert issuers == {STRANGER.ss58_address, VALIDATOR.ss58_address}
