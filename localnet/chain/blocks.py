"""The blocks of a chain and its state at each of them; writes them to the journal."""

from localnet.chain.journal import Block, ChainSnapshot, Journal, JournalEntry
from localnet.chain.runtime import LocalRuntime, runtime_of
from localnet.chain.scale import blake2_256, compact
from localnet.chain.state import ChainState, Changes
from localnet.chain.storage import Storage

NO_PARENT = bytes(32)


class UnknownBlockError(LookupError):
    """No block has this hash."""


class DiscardedStateError(LookupError):
    """The block is too old: only its hash is kept, not its state."""


class Blocks:
    """Every block's hash, and the state and extrinsics of at least the last `kept` blocks."""

    def __init__(self, runtime: LocalRuntime, journal: Journal, kept: int) -> None:
        self._first_runtime = runtime
        self.state = ChainState()
        self._journal = journal
        self._kept = kept
        self._hashes: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._blocks: dict[int, tuple[Block, Changes]] = {}
        self._oldest = 0
        for entry in journal.entries():
            self._restore(entry)

    @property
    def is_empty(self) -> bool:
        """Whether there is no block yet, not even the genesis block."""
        return not self._hashes

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[len(self._hashes) - 1][0]

    @property
    def runtime(self) -> LocalRuntime:
        """The runtime that produces the next block."""
        return self.runtime_at(len(self._hashes) - 1)

    def runtime_at(self, number: int) -> LocalRuntime:
        """The runtime in the state of a block, which executes the next one."""
        first = self._first_runtime
        key = first.key("System", "LastRuntimeUpgrade", ())
        raw = self.state.read(key, number)
        if raw is None:
            return first
        upgraded = first.decode("System", "LastRuntimeUpgrade", raw)
        return runtime_of(first.slot_milliseconds, int(upgraded["spec_version"]))

    def pending_storage(self) -> Storage:
        """Storage with the writes of the block in production."""
        return Storage(self.runtime, self.state, len(self._hashes), is_pinned=False)

    def storage_at(self, number: int) -> Storage:
        """Storage at the end of a block. Raises `DiscardedStateError`."""
        if number < self._oldest:
            raise DiscardedStateError(self._hashes[number].hex())
        return Storage(self.runtime_at(number), self.state, number, is_pinned=True)

    def hash_of(self, number: int) -> bytes | None:
        """The hash of the block; None if there is no such block."""
        return self._hashes[number] if 0 <= number < len(self._hashes) else None

    def number_of(self, block_hash: bytes) -> int:
        """The number of the block with this hash. Raises `UnknownBlockError`."""
        if block_hash not in self._numbers:
            raise UnknownBlockError(block_hash.hex())
        return self._numbers[block_hash]

    def block(self, number: int) -> Block:
        """The block. Raises `DiscardedStateError` if it is no longer kept."""
        if number not in self._blocks:
            raise DiscardedStateError(self._hashes[number].hex())
        return self._blocks[number][0]

    def close_block(self, milliseconds: int, extrinsics: list[bytes]) -> Block:
        """Add a block with these extrinsics and the pending writes, dated `milliseconds`."""
        number = len(self._hashes)
        parent = self._hashes[-1] if self._hashes else NO_PARENT
        changes = self.state.commit(number)
        extrinsics_root = blake2_256(b"".join(extrinsics))
        state_root = blake2_256(b"".join(key + (value or b"") for key, value in changes.items()))
        header = parent + compact(number) + compact(milliseconds) + extrinsics_root + state_root
        own_hash = blake2_256(header) if number else self.runtime.genesis_hash
        block = Block(
            number=number,
            hash=own_hash,
            parent=parent,
            milliseconds=milliseconds,
            extrinsics=tuple(extrinsics),
            extrinsics_root=extrinsics_root,
            state_root=state_root,
        )
        self._journal.append(block, changes)
        self._index(block, changes)
        self._discard_old()
        return block

    def _index(self, block: Block, changes: Changes) -> None:
        self._numbers[block.hash] = block.number
        self._hashes.append(block.hash)
        self._blocks[block.number] = (block, changes)

    def _restore(self, entry: JournalEntry) -> None:
        if isinstance(entry, ChainSnapshot):
            self._oldest = entry.block.number
            self._hashes = list(entry.hashes)
            self._numbers = {block_hash: number for number, block_hash in enumerate(entry.hashes)}
            self._blocks[entry.block.number] = (entry.block, {})
            self.state.apply(entry.block.number, entry.values)
        else:
            block, changes = entry
            self.state.apply(block.number, changes)
            self._index(block, changes)

    def _discard_old(self) -> None:
        """Replace blocks that are too old with a snapshot, once for every `kept` blocks."""
        head = len(self._hashes) - 1
        if head - self._oldest < 2 * self._kept:
            return
        first = head - self._kept
        for number in range(self._oldest, first):
            self._blocks.pop(number, None)
        self._oldest = first
        self.state.discard_before(first)
        base, _ = self._blocks[first]
        values: Changes = dict(self.state.snapshot_at(first))
        snapshot = ChainSnapshot(base, tuple(self._hashes[: first + 1]), values)
        self._journal.replace(snapshot, [self._blocks[n] for n in range(first + 1, head + 1)])
