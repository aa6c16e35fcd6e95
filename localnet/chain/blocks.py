"""The blocks of a chain, with its storage at each of them and their copy on disk."""

from localnet.chain.journal import Block, Entry, Journal, Snapshot
from localnet.chain.ledger import Ledger
from localnet.chain.runtime import LocalRuntime
from localnet.chain.scale import blake2_256, compact
from localnet.chain.state import Changes, State

NO_PARENT = bytes(32)


class UnknownBlock(LookupError):
    """There never was such a block."""


class DiscardedState(LookupError):
    """The block is too old: its hash is known, its storage is not."""


class Blocks:
    """Every block's hash; storage and extrinsics of the last `kept` blocks at least."""

    def __init__(self, runtime: LocalRuntime, journal: Journal, kept: int) -> None:
        self.runtime = runtime
        self.state = State()
        self._journal = journal
        self._kept = kept
        self._hashes: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._blocks: dict[int, tuple[Block, Changes]] = {}
        self._oldest = 0
        for entry in journal.entries():
            self._restore(entry)

    @property
    def empty(self) -> bool:
        """Whether not even the first block is there."""
        return not self._hashes

    @property
    def head(self) -> Block:
        """The newest block."""
        return self._blocks[len(self._hashes) - 1][0]

    def ledger(self) -> Ledger:
        """Storage as the block being made sees it."""
        return Ledger(self.runtime, self.state, len(self._hashes), pinned=False)

    def ledger_at(self, number: int) -> Ledger:
        """Storage as it was at the end of a block."""
        if number < self._oldest:
            raise DiscardedState(self._hashes[number].hex())
        return Ledger(self.runtime, self.state, number, pinned=True)

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a block that exists."""
        return self._hashes[number] if 0 <= number < len(self._hashes) else None

    def number_of(self, block_hash: bytes) -> int:
        """The number of a block that exists."""
        if block_hash not in self._numbers:
            raise UnknownBlock(block_hash.hex())
        return self._numbers[block_hash]

    def block(self, number: int) -> Block:
        """A block that is still kept."""
        if number not in self._blocks:
            raise DiscardedState(self._hashes[number].hex())
        return self._blocks[number][0]

    def close_block(self, milliseconds: int, extrinsics: list[bytes]) -> Block:
        """Make the writes so far and these extrinsics the next block."""
        number = len(self._hashes)
        parent = self._hashes[-1] if self._hashes else NO_PARENT
        changes = self.state.commit(number)
        extrinsics_root = blake2_256(b"".join(extrinsics))
        state_root = blake2_256(b"".join(key + (value or b"") for key, value in changes.items()))
        heading = parent + compact(number) + compact(milliseconds) + extrinsics_root + state_root
        own_hash = blake2_256(heading) if number else self.runtime.genesis_hash
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
        self._remember(block, changes)
        self._forget_old()
        return block

    def _remember(self, block: Block, changes: Changes) -> None:
        self._numbers[block.hash] = block.number
        self._hashes.append(block.hash)
        self._blocks[block.number] = (block, changes)

    def _restore(self, entry: Entry) -> None:
        if isinstance(entry, Snapshot):
            self._oldest = entry.block.number
            self._hashes = list(entry.hashes)
            self._numbers = {one: number for number, one in enumerate(entry.hashes)}
            self._blocks[entry.block.number] = (entry.block, {})
            self.state.apply(entry.block.number, entry.values)
        else:
            block, changes = entry
            self.state.apply(block.number, changes)
            self._remember(block, changes)

    def _forget_old(self) -> None:
        """Fold what is too old into a snapshot, seldom enough to cost nothing."""
        head = len(self._hashes) - 1
        if head - self._oldest < 2 * self._kept:
            return
        first = head - self._kept
        for number in range(self._oldest, first):
            self._blocks.pop(number, None)
        self._oldest = first
        self.state.forget_before(first)
        base, _ = self._blocks[first]
        values: Changes = dict(self.state.at(first))
        snapshot = Snapshot(base, tuple(self._hashes[: first + 1]), values)
        self._journal.replace(snapshot, [self._blocks[n] for n in range(first + 1, head + 1)])
