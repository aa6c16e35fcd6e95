"""Limits on the memory held for peers, in bytes.

Budgets form a tree: a process, its connections, the jobs of a connection. `ByteBudget` is for data
that cannot wait: over a limit, the leaf that holds most drops all it holds. `ByteGate` is for data
that can wait: over a limit, `enter` waits until there is room.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel

# Counted for each item besides its text, so that empty items are not free.
ITEM_BYTES = 1024


def memory_of(value: object) -> int:
    """An estimate of the memory, in bytes, of a message or of JSON data; mostly a bit too low.

    The length in characters or on the wire is no measure: one character beyond Latin-1 makes a text
    take two or four bytes for each of its characters.
    """
    size, left = 0, [value]
    while left:
        one = left.pop()
        size += sys.getsizeof(one)
        if isinstance(one, BaseModel):
            left += one.__dict__.values()
            left += (one.__pydantic_extra__ or {}).values()
        elif isinstance(one, dict):
            left += one.keys()
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
    return size


class ByteBudget:
    """The bytes held by one leaf, or by all leaves below a node."""

    def __init__(
        self,
        limit: int,
        parent: "ByteBudget | None" = None,
        *,
        drop: Callable[[], None] | None = None,
    ) -> None:
        self.limit = limit
        self.held = 0
        self._parent = parent
        self._drop = drop
        # Parts that hold something.
        self._parts: dict[ByteBudget, None] = {}

    def part(self, limit: int, *, drop: Callable[[], None] | None = None) -> "ByteBudget":
        """A new node below this one; a leaf's `drop` must release all that the leaf counts."""
        return ByteBudget(limit, self, drop=drop)

    def add(self, size: int) -> None:
        """Count another item of `size` bytes in this leaf; over a limit, drop leaves at once.

        That may be this leaf, its new item included.
        """
        self._change(size + ITEM_BYTES)
        node: ByteBudget | None = self
        while node:
            while node.held > node.limit and node.held:
                node._largest()._drop_all()
            node = node._parent

    def remove(self, size: int) -> None:
        """Stop counting an item of `size` bytes of this leaf."""
        if self.held:
            self._change(-(size + ITEM_BYTES))

    def close(self) -> None:
        """Stop counting this leaf and all it holds."""
        self._change(-self.held)

    def _change(self, size: int) -> None:
        node: ByteBudget | None = self
        while node:
            node.held += size
            if node._parent:
                if node.held:
                    node._parent._parts[node] = None
                else:
                    node._parent._parts.pop(node, None)
            node = node._parent

    def _largest(self) -> "ByteBudget":
        node: ByteBudget = self
        while node._parts:
            node = max(node._parts, key=lambda part: part.held)
        return node

    def _drop_all(self) -> None:
        self._change(-self.held)
        if self._drop:
            self._drop()


class ByteGate:
    """Admits up to `limit` bytes at a time; an item of any size is admitted when it is alone."""

    def __init__(self, limit: int, parent: "ByteGate | None" = None) -> None:
        self.limit = limit
        self.held = 0
        self._parent = parent
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self, size: int) -> None:
        """Wait until there is room for `size` bytes and count them; the caller must `leave`."""
        size += ITEM_BYTES
        while self.held and self.held + size > self.limit:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            await room
        self.held += size
        if self._parent:
            try:
                await self._parent.enter(size)
            except asyncio.CancelledError:
                self._release(size)
                raise

    def leave(self, size: int) -> None:
        """Stop counting an item of `size` bytes."""
        size += ITEM_BYTES
        self._release(size)
        if self._parent:
            self._parent.leave(size)

    @asynccontextmanager
    async def holding(self, size: int) -> AsyncIterator[None]:
        """Count an item while the block runs."""
        await self.enter(size)
        try:
            yield
        finally:
            self.leave(size)

    def _release(self, size: int) -> None:
        self.held -= size
        waiting, self._waiting = self._waiting, []
        for room in waiting:
            if not room.done():
                room.set_result(None)
