"""A node: takes extrinsics, makes blocks, tells whoever listens."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from localnet.chain import subnet
from localnet.chain.blocks import Blocks
from localnet.chain.dispatch import Event, dispatch
from localnet.chain.extrinsics import OUTDATED, InvalidExtrinsic, Pool, Signed, read
from localnet.chain.journal import Block
from localnet.chain.ledger import DispatchError, Ledger
from localnet.chain.runtime import LocalRuntime

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Status = dict[str, Any] | str

DISPATCH_INFO = {
    "weight": {"ref_time": 1, "proof_size": 1},
    "class": "Normal",
    "pays_fee": "No",
}


class Listener(Protocol):
    """Whoever wants to hear of blocks and of what becomes of extrinsics."""

    def on_block(self, block: Block) -> None:
        """A block was added; it is final at once."""

    def on_status(self, extrinsic_hash: bytes, status: Status) -> None:
        """An extrinsic entered a block, or never will."""


class Node:
    """One chain with one subnet."""

    def __init__(self, blocks: Blocks, listener: Listener, *, netuid: int, tempo: int) -> None:
        self.blocks = blocks
        self.netuid = netuid
        self._listener = listener
        self._pool = Pool()
        if blocks.empty:
            ledger = blocks.ledger()
            subnet.found(ledger, netuid, tempo)
            self._close_block(ledger, [])

    @property
    def runtime(self) -> LocalRuntime:
        """The runtime by which everything is encoded."""
        return self.blocks.runtime

    def submit(self, raw: bytes) -> Signed:
        """Take an extrinsic into the pool, or `InvalidExtrinsic`."""
        number = self.blocks.head.number + 1
        extrinsic = read(raw, self.runtime, number, self.blocks.hash_of)
        if extrinsic.nonce < self._nonce(extrinsic.signer):
            raise InvalidExtrinsic(OUTDATED)
        self._pool.add(extrinsic)
        return extrinsic

    def next_nonce(self, account: str) -> int:
        """The nonce to sign with, counting what waits in the pool."""
        return self._pool.next_nonce(account, self._nonce(account))

    def produce(self) -> Block:
        """Make the next block of what waits."""
        ledger = self.blocks.ledger()
        subnet.step(ledger, self.netuid)
        for expired in self._pool.expired(ledger.number):
            self._listener.on_status(expired.hash, "invalid")
        included: list[Signed] = []
        records: list[dict[str, Any]] = []
        for extrinsic in self._pool.ready(self._nonce):
            self._use_nonce(ledger, extrinsic.signer)
            events = self._apply(ledger, extrinsic)
            records += [_record(len(included), event) for event in events]
            included.append(extrinsic)
        ledger.put("Events", value=records, pallet="System")
        block = self._close_block(ledger, [extrinsic.raw for extrinsic in included])
        for extrinsic in included:
            self._listener.on_status(extrinsic.hash, {"inBlock": "0x" + block.hash.hex()})
            self._listener.on_status(extrinsic.hash, {"finalized": "0x" + block.hash.hex()})
        return block

    def alter(self, change: Callable[[Ledger], Result]) -> Result:
        """Change storage from outside, as an operator of a local network may, in a new block."""
        mark = self.blocks.state.mark()
        try:
            result = change(self.blocks.ledger())
        except BaseException:
            self.blocks.state.restore(mark)
            raise
        self.produce()
        return result

    def _apply(self, ledger: Ledger, extrinsic: Signed) -> list[Event]:
        mark = self.blocks.state.mark()
        call = (extrinsic.pallet, extrinsic.function)
        try:
            events = dispatch(ledger, extrinsic.signer, *call, extrinsic.arguments)
        except DispatchError as refused:
            self.blocks.state.restore(mark)
            log.info("call refused", extra={"call": call, "error": refused.name})
            error = self.runtime.error(refused.pallet, refused.name)
            outcome = {"dispatch_error": error, "dispatch_info": DISPATCH_INFO}
            return [("System", {"ExtrinsicFailed": outcome})]
        return [*events, ("System", {"ExtrinsicSuccess": {"dispatch_info": DISPATCH_INFO}})]

    def _close_block(self, ledger: Ledger, extrinsics: list[bytes]) -> Block:
        milliseconds = time.time_ns() // 1_000_000
        ledger.put("Number", value=ledger.number, pallet="System")
        ledger.put("Now", value=milliseconds, pallet="Timestamp")
        block = self.blocks.close_block(milliseconds, extrinsics)
        self._listener.on_block(block)
        return block

    def _nonce(self, account: str) -> int:
        return int(self.blocks.ledger().get("Account", account, pallet="System")["nonce"])

    def _use_nonce(self, ledger: Ledger, account: str) -> None:
        info = ledger.get("Account", account, pallet="System")
        info["nonce"] += 1
        ledger.put("Account", account, value=info, pallet="System")


def _record(extrinsic: int, event: Event) -> dict[str, Any]:
    pallet, content = event
    return {"phase": {"ApplyExtrinsic": extrinsic}, "event": {pallet: content}, "topics": []}
