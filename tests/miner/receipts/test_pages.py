"""The memory of all readers of receipt pages is limited."""

import asyncio
import gc
import gzip
import threading

import pytest
from django.test import AsyncClient

from compute_horde.django import database
from compute_horde.django.database import in_database
from miner import http_views
from miner.receipts import store
from miner.receipts.models import Receipt
from miner.receipts.pages import PageMemoryError, PageReader
from tests.miner.receipts.test_store import started


@pytest.fixture(autouse=True)
def _threads(transactional_db):
    yield
    database.close_threads()


def store_pages(*pages: int) -> None:
    for page in pages:
        store.store([started(), started()])
        Receipt.objects.filter(page__gt=100).update(page=page)


async def released():
    """Drop what only the event loop's last callback refers to: the result that was awaited."""
    await asyncio.sleep(0)
    gc.collect()


async def test_all_readers_of_a_page_share_one_copy_and_one_reading(monkeypatch):
    await in_database(store_pages, 1)
    reads, read = [], store.page_body

    def counted(page, start, miner):
        reads.append((page, start))
        return read(page, start)

    monkeypatch.setattr(store, "page_body", counted)
    pages = PageReader()
    size = await pages.size(1)
    copies = await asyncio.gather(*(pages.read(1, size) for _ in range(50)))
    assert len({id(copy) for copy in copies}) == 1
    assert reads == [(1, 0)]
    assert pages.held == len(copies[0].body) == await in_database(store.page_size, 1)
    tails = await asyncio.gather(*(pages.read(1, size, 10) for _ in range(50)))
    assert len({id(copy) for copy in tails}) == 1
    assert reads == [(1, 0), (1, 10)]
    assert tails[0].body == copies[0].body[10:]
    assert pages.held == 2 * len(copies[0].body) - 10
    copies, tails = [], []
    await released()
    assert pages.held == 0


async def test_a_page_that_grew_is_not_served_from_the_old_copy():
    await in_database(store_pages, 1)
    pages = PageReader()
    old = await pages.read(1, await pages.size(1))
    await in_database(store_pages, 1)
    new = await pages.read(1, await pages.size(1))
    assert new.body.startswith(old.body)
    assert new.body.count(b"\n") == 2 * old.body.count(b"\n")


async def test_wide_characters_of_a_page_count_as_their_bytes():
    await in_database(store_pages, 1)
    await in_database(Receipt.objects.update, body="\u20ac\U0001f600")
    assert await in_database(store.page_size, 1) == 2 * (3 + 4 + 1)


async def test_beyond_the_limit_a_page_is_refused_until_others_are_sent():
    await in_database(store_pages, 1, 2)
    size = await in_database(store.page_size, 1)
    pages = PageReader(all_bytes=size * 3)
    # A page of any size may be read alone.
    held = await pages.read(1, size)
    with pytest.raises(PageMemoryError):
        await pages.read(2, size)
    # The rest of a page costs only what it is.
    tail = await pages.read(1, size, size - 10)
    assert tail.body == held.body[-10:]
    del held, tail
    await released()
    assert (await pages.read(2, size)).body


async def test_while_a_page_is_being_read_others_get_a_retry_response(monkeypatch):
    await in_database(store_pages, 1, 2)
    going, read = threading.Event(), store.page_body

    def blocked(page, start, miner):
        going.wait(20)
        return read(page, start)

    monkeypatch.setattr(store, "page_body", blocked)
    monkeypatch.setattr(http_views, "pages", PageReader(all_bytes=10))
    first = asyncio.create_task(AsyncClient().get("/receipts/1.jsonl"))
    async with asyncio.timeout(10):
        while not http_views.pages.held:
            await asyncio.sleep(0.01)
    refused = await AsyncClient().get("/receipts/2.jsonl")
    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    assert b"retry in a few seconds" in refused.content
    going.set()
    answer = await first
    assert answer.status_code == 200
    # The copy counts as long as the response exists.
    assert http_views.pages.held == len(answer.content)
    compressed = await AsyncClient().get("/receipts/1.jsonl", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(compressed.content) == answer.content
    del answer, first, compressed
    # A thread that took part in a response may release it a moment later.
    async with asyncio.timeout(10):
        while http_views.pages.held:
            gc.collect()
            await asyncio.sleep(0.01)


async def test_the_rest_of_a_page_is_the_same_from_any_byte_on():
    await in_database(store_pages, 1)
    await in_database(store_pages, 2)
    whole = await in_database(store.page_body, 1)
    first = whole.index(b"\n") + 1
    for start in (0, 1, first - 1, first, first + 1, len(whole) - 1, len(whole), len(whole) + 1):
        assert await in_database(store.page_body, 1, start) == whole[start:]


async def test_a_request_without_news_reads_no_page(monkeypatch):
    await in_database(store_pages, 1)
    size = await in_database(store.page_size, 1)
    monkeypatch.setattr(store, "page_body", None)
    answer = await AsyncClient().get("/receipts/1.jsonl", headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{size}")
