"""The pages of several miners, read at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from bittensor_core import Keypair
from django.db import DatabaseError

from compute_horde.django.database import in_database
from tests.eventually import eventually
from tests.peers.keys import MINER, OTHER_MINER, VALIDATOR
from tests.validator.receipts.published import (
    Handle,
    Publisher,
    http_server,
    line,
    response,
    started,
)
from validator.receipts import pages, store
from validator.receipts.models import Receipt
from validator.receipts.page_reader import Acceptance, MinerPageReader, PageSource
from validator.receipts.recorder import TransferRecorder
from validator.receipts.store import Checkpoint
from validator.receipts.transfer import ReceiptTransfer
from validator.receipts.verifier import Verifier

pytestmark = pytest.mark.django_db(transaction=True)

NOW = time.time()
NEWEST = pages.page_at(NOW)
LOOK_SECONDS = 0.02

Make = Callable[..., ReceiptTransfer]


@pytest.fixture
async def transfer(verifier: Verifier) -> AsyncIterator[ReceiptTransfer]:
    """With a clock that stands still, so that no test runs into the next page."""
    recorder = TransferRecorder()
    acceptance = Acceptance(timedelta(days=2), frozenset({VALIDATOR.ss58_address}))
    it = ReceiptTransfer(
        acceptance, verifier, recorder, interval_seconds=LOOK_SECONDS, now=lambda: NOW
    )
    yield it
    await it.close()
    await recorder.close()


@asynccontextmanager
async def sources(**handles: Handle) -> AsyncIterator[list[PageSource]]:
    """Servers with these names as hotkeys."""
    async with AsyncExitStack() as stack:
        ports = {
            name: await stack.enter_async_context(http_server(handle))
            for name, handle in handles.items()
        }
        yield [PageSource(name, "127.0.0.1", port) for name, port in ports.items()]


def receipt_of(miner: Keypair) -> bytes:
    return line(started(miner_hotkey=miner.ss58_address), miner=miner)


async def stored(miner: Keypair) -> int:
    return await in_database(Receipt.objects.filter(miner_hotkey=miner.ss58_address).count)


async def test_the_active_pages_of_all_miners_are_read_again_and_again(
    transfer: ReceiptTransfer,
) -> None:
    one, other = Publisher(), Publisher()
    handles = {MINER.ss58_address: one.handle, OTHER_MINER.ss58_address: other.handle}
    async with sources(**handles) as miners:
        transfer.serve(miners, [])
        one.pages[NEWEST] = receipt_of(MINER)
        other.pages[NEWEST - 1] = receipt_of(OTHER_MINER)
        await eventually(lambda: stored(MINER))
        await eventually(lambda: stored(OTHER_MINER))
        one.pages[NEWEST] += receipt_of(MINER)

        async def has_both() -> bool:
            return await stored(MINER) == 2

        await eventually(has_both)
    assert {page for page, _ in one.requests} == {NEWEST - 1, NEWEST}


async def test_a_miner_that_never_answers_delays_no_other(transfer: ReceiptTransfer) -> None:
    async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def failing(head: bytes, writer: asyncio.StreamWriter) -> None:
        failures.append(head)
        writer.write(response(500))

    async def junk(head: bytes, writer: asyncio.StreamWriter) -> None:
        junk_requests.append(head)
        writer.write(response(200, b"\n" * 400_000))

    failures: list[bytes] = []
    junk_requests: list[bytes] = []
    good = Publisher()
    handles = {"a": silent, "b": failing, "c": junk, MINER.ss58_address: good.handle}
    async with sources(**handles) as miners:
        transfer.serve(miners, [])
        await eventually(lambda: len(good.requests) >= 100)
        # Twice as long after each failure.
        assert 0 < len(failures) < 20
        assert 0 < len(junk_requests) < 20


async def test_what_is_no_miner_any_more_is_not_asked(transfer: ReceiptTransfer) -> None:
    one, moved = Publisher(), Publisher()
    async with (
        sources(miner=one.handle) as before,
        sources(miner=moved.handle) as after,
    ):
        assert transfer.not_served(before) == before
        transfer.serve(before, [])
        assert (transfer.not_served(before), transfer.not_served(after)) == ([], after)
        await eventually(lambda: one.requests)
        transfer.serve(after, [])
        await eventually(lambda: moved.requests)
        asked = len(one.requests)
        transfer.serve(after, [])
        count = len(moved.requests)
        await eventually(lambda: len(moved.requests) > count + 5)
        assert len(one.requests) == asked
        transfer.serve([], [])
        assert len(transfer) == 0


async def test_older_pages_are_read_once_newest_first(transfer: ReceiptTransfer) -> None:
    publisher = Publisher()
    for number in range(NEWEST - 70, NEWEST + 1):
        publisher.pages[number] = receipt_of(MINER)
    async with sources(**{MINER.ss58_address: publisher.handle}) as miners:
        transfer.serve(miners, [])
        await transfer.catch_up()
        older = [page for page, _ in publisher.requests if page < NEWEST - 1]
        assert older == pages.older_pages(NOW)
        assert transfer.pages_left() == 0
        await transfer.catch_up()
        assert sum(page < NEWEST - 1 for page, _ in publisher.requests) == len(older)
    assert await stored(MINER) >= 58


async def test_reading_goes_on_where_a_former_process_ended(transfer: ReceiptTransfer) -> None:
    publisher = Publisher()
    first = receipt_of(MINER)
    publisher.pages[NEWEST] = first + receipt_of(MINER)
    publisher.pages[NEWEST - 5] = receipt_of(MINER)
    async with sources(**{MINER.ss58_address: publisher.handle}) as miners:
        address = f"127.0.0.1:{miners[0].port}"
        checkpoints = [
            Checkpoint(MINER.ss58_address, address, NEWEST, len(first)),
            Checkpoint(MINER.ss58_address, address, NEWEST - 5, 0, "rewritten"),
            Checkpoint(MINER.ss58_address, "10.0.0.1:1", NEWEST - 1, 77),
        ]
        transfer.serve(miners, checkpoints)
        await eventually(lambda: stored(MINER))
        await transfer.catch_up()
    assert (NEWEST, 0) not in publisher.requests
    assert (NEWEST, len(first)) in publisher.requests
    assert (NEWEST - 5, 0) not in publisher.requests
    assert (NEWEST - 1, 0) in publisher.requests
    assert await stored(MINER) == 1


async def test_miners_that_do_not_answer_are_left_out_of_catching_up(
    transfer: ReceiptTransfer,
) -> None:
    asked: list[bytes] = []

    async def failing(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        writer.write(response(500))

    async with sources(miner=failing) as miners:
        transfer.serve(miners, [])
        await eventually(lambda: len(asked) > 1)
        await transfer.catch_up()
        older = [head for head in asked if f"/{NEWEST - 2}.jsonl".encode() in head]
        assert older == []
        assert transfer.pages_left() == 0


async def test_a_defect_that_one_miner_meets_costs_no_other(
    transfer: ReceiptTransfer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(self: object, miner: str, *rest: object) -> bool:
        if miner == OTHER_MINER.ss58_address:
            raise ValueError("a defect")
        return await real(self, miner, *rest)

    real = MinerPageReader.read
    monkeypatch.setattr(MinerPageReader, "read", read)
    good = Publisher()
    handles = {OTHER_MINER.ss58_address: good.handle, MINER.ss58_address: good.handle}
    async with sources(**handles) as miners:
        transfer.serve(miners, [])
        await transfer.catch_up()
        await eventually(lambda: len(good.requests) >= 100)
        transfer.raise_failures()
    assert "a defect" in caplog.text


async def test_a_failure_of_the_database_is_raised(
    transfer: ReceiptTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(progress: object) -> int:
        raise DatabaseError("the database is gone")

    monkeypatch.setattr(store, "record", broken)
    publisher = Publisher()
    publisher.pages[NEWEST] = receipt_of(MINER)

    def failed() -> bool:
        try:
            transfer.raise_failures()
        except DatabaseError:
            return True
        return False

    async with sources(**{MINER.ss58_address: publisher.handle}) as miners:
        transfer.serve(miners, [])
        await eventually(failed)
