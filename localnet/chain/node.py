"""A node: accepts extrinsics, produces blocks and notifies a listener."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from localnet.chain import subnet
from localnet.chain.block_step import block_step
from localnet.chain.blocks import Blocks
from localnet.chain.dispatch import dispatch
from localnet.chain.extrinsics import (
    OUTDATED,
    ExtrinsicPool,
    InvalidExtrinsicError,
    SignedExtrinsic,
    read,
)
from localnet.chain.journal import Block
from localnet.chain.runtime import LocalRuntime
from localnet.chain.storage import DispatchError, Event, Storage

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Status = dict[str, Any] | str

DISPATCH_INFO = {
    "weight": {"ref_time": 1, "proof_size": 1},
    "class": "Normal",
    "pays_fee": "No",
}


class BlockListener(Protocol):
    """Receives new blocks and the status of extrinsics."""

    def on_block(self, block: Block) -> None:
        """A block was added; it is finalized at once."""

    def on_status(self, extrinsic_hash: bytes, status: Status) -> None:
        """The status of an extrinsic changed, in the form of `author_extrinsicUpdate`."""


class Node:
    """The node of a chain with one subnet."""

    def __init__(self, blocks: Blocks, listener: BlockListener, *, netuid: int, tempo: int) -> None:
        self.blocks = blocks
        self.netuid = netuid
        self._listener = listener
        self._pool = ExtrinsicPool()
        if blocks.is_empty:
            storage = blocks.pending_storage()
            subnet.create_subnet(storage, netuid, tempo)
            self._close_block(storage, [])

    @property
    def runtime(self) -> LocalRuntime:
        """The runtime of the chain."""
        return self.blocks.runtime

    def submit(self, raw: bytes) -> SignedExtrinsic:
        """Add an extrinsic to the pool. Raises `InvalidExtrinsicError`."""
        number = self.blocks.head.number + 1
        extrinsic = read(raw, self.runtime, number, self.blocks.hash_of)
        if extrinsic.nonce < self._nonce(extrinsic.signer):
            raise InvalidExtrinsicError(OUTDATED)
        self._pool.add(extrinsic)
        return extrinsic

    def next_nonce(self, account: str) -> int:
        """The next nonce of an account, after those of its extrinsics in the pool."""
        return self._pool.next_nonce(account, self._nonce(account))

    def produce(self) -> Block:
        """Produce the next block from the extrinsics in the pool."""
        storage = self.blocks.pending_storage()
        started = block_step(storage, self.netuid)
        for expired in self._pool.expired(storage.number):
            self._listener.on_status(expired.hash, "invalid")
        included: list[SignedExtrinsic] = []
        records = [_record("Initialization", event) for event in started]
        for extrinsic in self._pool.ready(self._nonce):
            self._use_nonce(storage, extrinsic.signer)
            events = self._apply(storage, extrinsic)
            phase = {"ApplyExtrinsic": len(included)}
            records += [_record(phase, event) for event in events]
            included.append(extrinsic)
        storage.put("Events", value=records, pallet="System")
        block = self._close_block(storage, [extrinsic.raw for extrinsic in included])
        for extrinsic in included:
            self._listener.on_status(extrinsic.hash, {"inBlock": "0x" + block.hash.hex()})
            self._listener.on_status(extrinsic.hash, {"finalized": "0x" + block.hash.hex()})
        return block

    def alter(self, change: Callable[[Storage], Result]) -> Result:
        """Change storage without an extrinsic, as the operator may, and produce a block.

        An exception of `change` undoes its writes and is raised again.
        """
        savepoint = self.blocks.state.savepoint()
        try:
            result = change(self.blocks.pending_storage())
        except BaseException:
            self.blocks.state.rollback(savepoint)
            raise
        self.produce()
        return result

    def _apply(self, storage: Storage, extrinsic: SignedExtrinsic) -> list[Event]:
        savepoint = self.blocks.state.savepoint()
        call = (extrinsic.pallet, extrinsic.function)
        try:
            events = dispatch(storage, extrinsic.signer, *call, extrinsic.arguments)
        except DispatchError as exc:
            self.blocks.state.rollback(savepoint)
            log.info("call failed", extra={"call": call, "error": exc.name})
            error = self.runtime.error(exc.pallet, exc.name)
            outcome = {"dispatch_error": error, "dispatch_info": DISPATCH_INFO}
            return [("System", {"ExtrinsicFailed": outcome})]
        return [*events, ("System", {"ExtrinsicSuccess": {"dispatch_info": DISPATCH_INFO}})]

    def _close_block(self, storage: Storage, extrinsics: list[bytes]) -> Block:
        milliseconds = time.time_ns() // 1_000_000
        storage.put("Number", value=storage.number, pallet="System")
        storage.put("Now", value=milliseconds, pallet="Timestamp")
        block = self.blocks.close_block(milliseconds, extrinsics)
        self._listener.on_block(block)
        return block

    def _nonce(self, account: str) -> int:
        return int(self.blocks.pending_storage().get("Account", account, pallet="System")["nonce"])

    def _use_nonce(self, storage: Storage, account: str) -> None:
        info = storage.get("Account", account, pallet="System")
        info["nonce"] += 1
        storage.put("Account", account, value=info, pallet="System")


def _record(phase: dict[str, int] | str, event: Event) -> dict[str, Any]:
    pallet, content = event
    return {"phase": phase, "event": {pallet: content}, "topics": []}
