"""Pages are compressed once, and outside the event loop."""

import asyncio
import gzip
import random
from threading import Event

from miner.receipts import compression
from miner.receipts.compression import PageCompressor


async def test_many_readers_of_a_page_cost_one_compression_and_no_loop_time(monkeypatch):
    compressor, calls, may_end = PageCompressor(), [], Event()

    def slow(body, level):
        calls.append(body)
        assert may_end.wait(10)
        return gzip.compress(body, level)

    monkeypatch.setattr(compression.gzip, "compress", slow)
    readers = [asyncio.create_task(compressor.compressed(7, b"a\n")) for _ in range(50)]
    # The loop goes on while it is being compressed.
    for _ in range(100):
        await asyncio.sleep(0)
    may_end.set()
    monkeypatch.undo()
    assert {gzip.decompress(one) for one in await asyncio.gather(*readers)} == {b"a\n"}
    assert len(calls) == 1


async def test_a_page_that_has_grown_is_compressed_again():
    compressor = PageCompressor()
    assert gzip.decompress(await compressor.compressed(7, b"a\n")) == b"a\n"
    assert gzip.decompress(await compressor.compressed(7, b"a\nb\n")) == b"a\nb\n"


async def test_the_cache_is_limited():
    compressor = PageCompressor(cache_bytes=10_000)
    for page in range(20):
        await compressor.compressed(page, random.randbytes(1000))
    assert 5 <= len(compressor._pages) <= 10
