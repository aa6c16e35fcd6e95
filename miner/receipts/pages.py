"""Receipt pages in memory, shared by their readers and limited in bytes."""

import asyncio
import weakref
from typing import NamedTuple

from compute_horde.django.database import in_database
from miner.receipts import store

# The limit of all pages held by responses that are being sent.
ALL_BYTES = 64 * 2**20
# While a page is read, its rows are in memory too.
COPIES_WHILE_READING = 3


class PageMemoryError(Exception):
    """Reading a page would exceed the memory limit now; it may succeed later."""


class PageCopy:
    """Bytes of a page; they count towards the limit as long as this object is referenced."""

    __slots__ = ("__weakref__", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body


class PageKey(NamedTuple):
    """What identifies bytes of a page, since a page grows only at its end."""

    page: int
    size: int
    start: int
    miner: str


class PageReader:
    """Reads pages within a memory limit; a page of any size may be read if no other is."""

    def __init__(self, all_bytes: int = ALL_BYTES) -> None:
        self._all_bytes = all_bytes
        self._copies: weakref.WeakValueDictionary[PageKey, PageCopy] = weakref.WeakValueDictionary()
        self._reading: dict[PageKey, asyncio.Task[PageCopy]] = {}

    @property
    def held(self) -> int:
        """The bytes in memory, including those of pages being read."""
        copies = sum(len(copy.body) for copy in self._copies.values())
        reading = sum(key.size - key.start for key in self._reading)
        return copies + reading * COPIES_WHILE_READING

    async def size(self, page: int, miner: str = "") -> int:
        """The present length of a page in bytes, without reading it."""
        return await in_database(store.page_size, page, miner)

    async def read(self, page: int, size: int, start: int = 0, miner: str = "") -> PageCopy:
        """A page of a known `size` from byte `start` on; the end may have grown meanwhile.

        Of the receipts that name the hotkey `miner`; of all, if it is empty.

        Raises `PageMemoryError`.
        """
        key = PageKey(page, size, start, miner)
        if copy := self._copies.get(key):
            return copy
        reading = self._reading.get(key)
        if reading is None:
            self._check_room((size - start) * COPIES_WHILE_READING)
            reading = self._reading[key] = asyncio.create_task(self._read(key))
            reading.add_done_callback(lambda _: self._reading.pop(key))
        # Shielded, because other readers may wait for it too.
        return await asyncio.shield(reading)

    async def _read(self, key: PageKey) -> PageCopy:
        body = await in_database(store.page_body, key.page, key.start, key.miner)
        return self._shared(key._replace(size=key.start + len(body)), body)

    def _check_room(self, size: int) -> None:
        held = self.held
        if held and held + size > self._all_bytes:
            raise PageMemoryError

    def _shared(self, key: PageKey, body: bytes) -> PageCopy:
        return self._copies.setdefault(key, PageCopy(body))
