"""Storage with its history: what every key held at every block that is still kept."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping

Changes = dict[bytes, bytes | None]


class State:
    """Versioned keys and values. Writes gather until `commit` makes them one block's changes."""

    def __init__(self) -> None:
        self._history: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self._sorted: list[bytes] = []
        self._pending: Changes = {}

    def read(self, key: bytes, block: int | None = None) -> bytes | None:
        """The value at the end of `block`; without one, as the block being made sees it."""
        if block is None:
            if key in self._pending:
                return self._pending[key]
            history = self._history.get(key)
            return history[-1][1] if history else None
        history = self._history.get(key, [])
        position = bisect_right(history, block, key=lambda entry: entry[0])
        return history[position - 1][1] if position else None

    def write(self, key: bytes, value: bytes | None) -> None:
        """Set or remove a value in the block being made."""
        self._pending[key] = value

    def mark(self) -> Changes:
        """A point to which `restore` can go back."""
        return dict(self._pending)

    def restore(self, mark: Changes) -> None:
        """Forget every write since `mark`."""
        self._pending = mark

    def commit(self, block: int) -> Changes:
        """End the block: its writes that change anything become history and are returned."""
        changes = {key: value for key, value in self._pending.items() if value != self._latest(key)}
        self._pending = {}
        self.apply(block, changes)
        return changes

    def apply(self, block: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Add the known changes of a block."""
        for key, value in changes.items():
            history = self._history.get(key)
            if history is None:
                history = self._history[key] = []
                insort(self._sorted, key)
            history.append((block, value))

    def keys(self, prefix: bytes, after: bytes, block: int) -> Iterator[bytes]:
        """The keys under `prefix` behind `after` that held a value at `block`, in order."""
        position = bisect_left(self._sorted, prefix)
        if after >= prefix:
            position = max(position, bisect_right(self._sorted, after))
        while position < len(self._sorted) and self._sorted[position].startswith(prefix):
            key = self._sorted[position]
            if self.read(key, block) is not None:
                yield key
            position += 1

    def forget_before(self, block: int) -> None:
        """Drop the history that is only needed to read blocks older than `block`."""
        for key in list(self._history):
            history = self._history[key]
            position = bisect_right(history, block, key=lambda entry: entry[0])
            kept = history[max(position - 1, 0) :]
            if len(kept) == 1 and kept[0][1] is None and kept[0][0] <= block:
                del self._history[key]
                self._sorted.pop(bisect_left(self._sorted, key))
            else:
                self._history[key] = kept

    def at(self, block: int) -> dict[bytes, bytes]:
        """Everything that had a value at `block`."""
        found = {key: self.read(key, block) for key in self._sorted}
        return {key: value for key, value in found.items() if value is not None}

    def _latest(self, key: bytes) -> bytes | None:
        history = self._history.get(key)
        return history[-1][1] if history else None
