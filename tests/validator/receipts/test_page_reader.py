"""One page of a miner, read as it grows, breaks off, shrinks or turns out to be junk."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from compute_horde.django.database import in_database
from tests.peers.keys import MINER, STRANGER, VALIDATOR
from tests.validator.receipts.published import Handle, Publisher, http_server, line, response
from validator.receipts import pages, quota, store
from validator.receipts.models import Receipt, TransferCount
from validator.receipts.page_client import PageClient
from validator.receipts.page_reader import Acceptance, MinerPageReader, PagePosition, ReadLimits
from validator.receipts.pages import TransferError, TransferProblem
from validator.receipts.recorder import TransferRecorder
from validator.receipts.store import Checkpoint
from validator.receipts.verifier import Verifier

pytestmark = pytest.mark.django_db(transaction=True)

HOTKEY = MINER.ss58_address
NUMBER = 7


class Reading:
    """A reader of one page of one miner."""

    def __init__(self, verifier: Verifier, port: int) -> None:
        self.recorder = TransferRecorder()
        acceptance = Acceptance(timedelta(days=2), frozenset({VALIDATOR.ss58_address}))
        self.reader = MinerPageReader(acceptance, verifier, self.recorder, time.time)
        self.client = PageClient("127.0.0.1", port)
        self.page = PagePosition(NUMBER)
        self.limits = ReadLimits(20.0, asyncio.Semaphore(1))

    async def read(self) -> bool:
        return await self.reader.read(HOTKEY, self.client, self.page, self.limits)

    async def problem(self) -> TransferProblem:
        with pytest.raises(TransferError) as caught:
            await self.read()
        return caught.value.problem

    async def checkpoint(self) -> Checkpoint:
        (found,) = await in_database(store.read_checkpoints, 0, {HOTKEY: self.client.address})
        assert (found.miner, found.address, found.page) == (HOTKEY, self.client.address, NUMBER)
        return found


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
async def reading(publisher: Publisher, verifier: Verifier) -> AsyncIterator[Reading]:
    async with reader_of(publisher.handle, verifier) as it:
        yield it


@asynccontextmanager
async def reader_of(handle: Handle, verifier: Verifier) -> AsyncIterator[Reading]:
    """A reader of what `handle` serves."""
    async with http_server(handle) as port:
        reading = Reading(verifier, port)
        try:
            yield reading
        finally:
            reading.client.close()
            await reading.recorder.close()


async def stored() -> int:
    return await in_database(Receipt.objects.count)


async def test_a_page_that_grows_is_read_on_from_where_it_ended(
    reading: Reading, publisher: Publisher
) -> None:
    assert await reading.read()
    publisher.pages[NUMBER] = first = line() + line()
    assert await reading.read()
    assert await reading.read()
    publisher.pages[NUMBER] += line()
    assert await reading.read()
    assert publisher.requests == [(NUMBER, start) for start in (0, 0, len(first), len(first))]
    assert await stored() == 3
    assert (await reading.checkpoint()).offset == len(publisher.pages[NUMBER])


async def test_an_incomplete_last_line_is_read_when_it_is_complete(
    reading: Reading, publisher: Publisher
) -> None:
    whole, last = line(), line()
    publisher.pages[NUMBER] = whole + last[:100]
    assert await reading.read()
    assert (await stored(), reading.page.offset) == (1, len(whole))
    publisher.pages[NUMBER] = whole + last
    assert await reading.read()
    assert (await stored(), reading.page.offset) == (2, len(whole + last))


async def test_a_long_page_is_read_in_several_requests(
    reading: Reading, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_FETCH_LINES", 2)
    publisher.pages[NUMBER] = b"".join(line() for _ in range(5))
    assert await reading.read()
    assert len(publisher.requests) == 3
    assert await stored() == 5


async def test_bad_lines_are_passed_over_and_read_once(
    reading: Reading, publisher: Publisher
) -> None:
    publisher.pages[NUMBER] = line() + b"junk\n" + line(miner=STRANGER) + line() + line()
    assert await reading.read()
    assert await stored() == 3
    assert reading.page.offset == len(publisher.pages[NUMBER])


async def test_receipts_beyond_the_quota_are_counted_and_not_stored(
    reading: Reading, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "KEPT_RECEIPTS", 2)
    publisher.pages[NUMBER] = b"".join(line() for _ in range(5))
    # Most of them are too many, so that the miner is asked less often.
    assert not await reading.read()
    assert (await stored(), reading.page.offset) == (2, len(publisher.pages[NUMBER]))
    await reading.recorder.write_counts(miners=1, pages_left=0)
    counts = TransferCount.objects.filter(miner_hotkey=HOTKEY, reason="too_many")
    assert (await in_database(counts.get)).count == 3


async def test_of_a_page_of_junk_a_piece_is_read_at_a_time(
    reading: Reading, publisher: Publisher
) -> None:
    publisher.pages[NUMBER] = b"\n" * 10**6
    assert not await reading.read()
    assert len(publisher.requests) == 1
    assert reading.page.offset == pages.MAX_FETCH_LINES


async def test_a_page_that_shrank_is_read_again_and_nothing_counts_twice(
    reading: Reading, publisher: Publisher
) -> None:
    first, second, third = line(), line(), line()
    publisher.pages[NUMBER] = first + second
    await reading.read()
    publisher.pages[NUMBER] = third
    assert await reading.read()
    publisher.pages[NUMBER] = third + first
    assert await reading.read()
    assert await stored() == 3


async def test_a_page_that_was_written_anew_is_read_again(
    reading: Reading, publisher: Publisher
) -> None:
    publisher.pages[NUMBER] = line()
    await reading.read()
    # The offset is in the middle of the second line now.
    publisher.pages[NUMBER] = b" " * 10 + line() + line() + line()
    assert await reading.read()
    assert await stored() == 4


async def test_a_page_that_always_changes_is_given_up(
    reading: Reading, publisher: Publisher
) -> None:
    for size in range(pages.MAX_RESTARTS + 1, 0, -1):
        publisher.pages[NUMBER] = b"".join(line() for _ in range(size))
        assert await reading.read()
    publisher.pages[NUMBER] = b"x\n"
    assert await reading.problem() is TransferProblem.REWRITTEN
    assert (await reading.checkpoint()).given_up == "rewritten"
    asked = len(publisher.requests)
    assert await reading.read()
    assert (len(publisher.requests), reading.page.is_over) == (asked, True)


async def test_a_page_with_an_endless_line_is_given_up(
    reading: Reading, publisher: Publisher
) -> None:
    publisher.pages[NUMBER] = line() + b"x" * 2**20
    assert await reading.problem() is TransferProblem.LINE_TOO_LONG
    assert reading.page.is_over
    assert await stored() == 1


async def test_a_page_that_is_too_long_is_given_up(
    reading: Reading, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 1000)
    monkeypatch.setattr(pages, "MAX_FETCH_LINES", 1)
    publisher.pages[NUMBER] = b"".join(line() for _ in range(5))
    assert await reading.problem() is TransferProblem.PAGE_TOO_LONG
    assert await stored() == 2
    assert reading.page.is_over


async def test_what_came_before_the_deadline_is_stored(verifier: Verifier) -> None:
    whole = line()

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + whole + whole[:50])
        await asyncio.Event().wait()

    async with reader_of(handle, verifier) as reading:
        reading.limits = ReadLimits(0.5, reading.limits.slots)
        assert await reading.problem() is TransferProblem.TIMED_OUT
        assert (await stored(), reading.page.offset) == (1, len(whole))


async def test_a_connection_that_breaks_off_within_a_line_is_a_failure(verifier: Verifier) -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
        writer.close()

    async with reader_of(handle, verifier) as reading:
        assert await reading.problem() is TransferProblem.CONNECTION_LOST
        assert reading.page.offset == 0


async def test_a_failure_of_the_moment_gives_nothing_up(verifier: Verifier) -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(500))

    async with reader_of(handle, verifier) as reading:
        assert await reading.problem() is TransferProblem.UNEXPECTED_STATUS
        assert not reading.page.given_up


def test_a_page_is_over_when_it_was_complete_after_its_last_minute() -> None:
    page = PagePosition(0)
    for complete_at, is_over in ((0.0, False), (359.0, False), (360.0, True)):
        page.complete_at = complete_at
        assert page.is_over is is_over


async def test_a_page_that_was_read_to_its_end_is_over(
    reading: Reading, publisher: Publisher
) -> None:
    publisher.pages[NUMBER] = line()
    assert await reading.read()
    # It is one of 1970.
    assert reading.page.is_over
