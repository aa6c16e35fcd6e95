"""The state of the chain: a key-value store with the values at all kept blocks."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping

Changes = dict[bytes, bytes | None]


class ChainState:
    """Keys and values by block; writes are pending until `commit` assigns them to a block."""

    def __init__(self) -> None:
        self._history: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self._sorted: list[bytes] = []
        self._pending: Changes = {}

    def read(self, key: bytes, block: int | None = None) -> bytes | None:
        """The value at the end of `block`; without one, with the pending writes."""
        if block is None:
            if key in self._pending:
                return self._pending[key]
            history = self._history.get(key)
            return history[-1][1] if history else None
        history = self._history.get(key, [])
        position = bisect_right(history, block, key=lambda entry: entry[0])
        return history[position - 1][1] if position else None

    def write(self, key: bytes, value: bytes | None) -> None:
        """Set a value in the block in production; None removes it."""
        self._pending[key] = value

    def savepoint(self) -> Changes:
        """The pending writes, for `rollback`."""
        return dict(self._pending)

    def rollback(self, savepoint: Changes) -> None:
        """Undo every write since `savepoint`."""
        self._pending = savepoint

    def commit(self, block: int) -> Changes:
        """Assign the pending writes to `block`; those that change a value."""
        changes = {key: value for key, value in self._pending.items() if value != self._latest(key)}
        self._pending = {}
        self.apply(block, changes)
        return changes

    def apply(self, block: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Add the changes of a block."""
        for key, value in changes.items():
            history = self._history.get(key)
            if history is None:
                history = self._history[key] = []
                insort(self._sorted, key)
            history.append((block, value))

    def keys(self, prefix: bytes, after: bytes, block: int) -> Iterator[bytes]:
        """The keys with this prefix, greater than `after`, that had a value at `block`, sorted."""
        position = bisect_left(self._sorted, prefix)
        if after >= prefix:
            position = max(position, bisect_right(self._sorted, after))
        while position < len(self._sorted) and self._sorted[position].startswith(prefix):
            key = self._sorted[position]
            if self.read(key, block) is not None:
                yield key
            position += 1

    def discard_before(self, block: int) -> None:
        """Discard the values that only blocks before `block` had."""
        for key in list(self._history):
            history = self._history[key]
            position = bisect_right(history, block, key=lambda entry: entry[0])
            kept = history[max(position - 1, 0) :]
            if len(kept) == 1 and kept[0][1] is None and kept[0][0] <= block:
                del self._history[key]
                self._sorted.pop(bisect_left(self._sorted, key))
            else:
                self._history[key] = kept

    def snapshot_at(self, block: int) -> dict[bytes, bytes]:
        """All keys and values at `block`."""
        found = {key: self.read(key, block) for key in self._sorted}
        return {key: value for key, value in found.items() if value is not None}

    def _latest(self, key: bytes) -> bytes | None:
        history = self._history.get(key)
        return history[-1][1] if history else None
