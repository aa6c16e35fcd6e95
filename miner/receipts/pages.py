"""Receipt pages in memory, shared by their readers and limited in bytes."""

import asyncio
import weakref

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


class PageReader:
    """Reads pages within a memory limit; a page of any size may be read if no other is."""

    def __init__(self, all_bytes: int = ALL_BYTES) -> None:
        self._all_bytes = all_bytes
        # By page, length and offset, which identify the bytes, since a page grows only at its end.
        self._copies: weakref.WeakValueDictionary[tuple[int, int, int], PageCopy] = (
            weakref.WeakValueDictionary()
        )
        self._reading: dict[tuple[int, int], asyncio.Task[PageCopy]] = {}

    @property
    def held(self) -> int:
        """The bytes in memory, including those of pages being read."""
        copies = sum(len(copy.body) for copy in self._copies.values())
        return copies + sum(size * COPIES_WHILE_READING for _, size in self._reading)

    async def read(self, page: int) -> PageCopy | None:
        """The present page, or None if it is empty. Raises `PageMemoryError`."""
        size = await in_database(store.page_size, page)
        if not size:
            return None
        if copy := self._copies.get((page, size, 0)):
            return copy
        key = page, size
        reading = self._reading.get(key)
        if reading is None:
            self._check_room(size * COPIES_WHILE_READING)
            reading = self._reading[key] = asyncio.create_task(self._read(page))
            reading.add_done_callback(lambda _: self._reading.pop(key))
        # Shielded, because other readers may wait for it too.
        return await asyncio.shield(reading)

    def rest(self, page: int, whole: PageCopy, start: int) -> PageCopy:
        """The page from offset `start` on. Raises `PageMemoryError`."""
        key = page, len(whole.body), start
        if copy := self._copies.get(key):
            return copy
        self._check_room(len(whole.body) - start)
        return self._shared(key, whole.body[start:])

    async def _read(self, page: int) -> PageCopy:
        body = await in_database(store.page_body, page)
        return self._shared((page, len(body), 0), body)

    def _check_room(self, size: int) -> None:
        held = self.held
        if held and held + size > self._all_bytes:
            raise PageMemoryError

    def _shared(self, key: tuple[int, int, int], body: bytes) -> PageCopy:
        return self._copies.setdefault(key, PageCopy(body))
