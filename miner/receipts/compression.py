"""Compresses receipt pages in a thread, one at a time, and caches the results."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor

CACHE_BYTES = 16 * 2**20
LEVEL = 6


class PageCompressor:
    """A cache of compressed pages, by name and length: a page grows only at its end."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._pages: OrderedDict[tuple[Hashable, int], Future[bytes]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "receipt pages")

    async def compressed(self, page: Hashable, body: bytes, owner: object = None) -> bytes:
        """`body` as gzip; concurrent calls for the same page share one compression.

        `owner` counts the memory of `body`, so it is referenced until the compression is done.
        """
        key = page, len(body)
        found = self._pages.get(key)
        if found is None:
            found = self._pages[key] = self._thread.submit(_compress, body, owner)
        self._pages.move_to_end(key)
        compressed_body = await asyncio.shield(asyncio.wrap_future(found))
        self._evict()
        return compressed_body

    def _evict(self) -> None:
        """Drop the pages requested longest ago while the cache is too large."""
        size = sum(len(one.result()) for one in self._pages.values() if one.done())
        while size > self._cache_bytes and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            size -= len(oldest.result()) if oldest.done() else 0


def _compress(body: bytes, _owner: object) -> bytes:
    return gzip.compress(body, LEVEL)
