"""Blocks refer to their parents; of old blocks only the hash is kept."""

from itertools import pairwise

import pytest

from localnet.chain.blocks import DiscardedStateError, UnknownBlockError
from localnet.chain.runtime import LocalRuntime
from tests.localnet.chain.workbench import Workbench


def test_each_block_has_the_hash_of_its_parent(bench: Workbench) -> None:
    bench.advance(5)
    blocks = [bench.node.blocks.block(number) for number in range(6)]
    assert blocks[0].hash == bench.runtime.genesis_hash
    for parent, child in pairwise(blocks):
        assert child.parent == parent.hash
    assert len({block.hash for block in blocks}) == 6


def test_two_chains_differ_after_their_first_block(runtime: LocalRuntime) -> None:
    one, other = Workbench(runtime), Workbench(runtime)
    one.neuron("a")
    other.neuron("b")
    assert one.node.blocks.head.hash != other.node.blocks.head.hash
    assert one.node.blocks.hash_of(0) == other.node.blocks.hash_of(0)


def test_a_block_is_found_by_its_hash(bench: Workbench) -> None:
    bench.advance(2)
    blocks = bench.node.blocks
    assert blocks.number_of(blocks.block(1).hash) == 1
    assert blocks.hash_of(99) is None
    assert blocks.hash_of(-1) is None
    with pytest.raises(UnknownBlockError):
        blocks.number_of(bytes(32))


def test_old_state_is_discarded_but_its_block_hash_is_kept(runtime: LocalRuntime) -> None:
    bench = Workbench(runtime, kept=5)
    first = bench.node.blocks.head.hash
    bench.advance(30)
    blocks = bench.node.blocks
    assert blocks.number_of(first) == 0
    for ask in (blocks.block, blocks.storage_at):
        with pytest.raises(DiscardedStateError):
            ask(0)
    for number in range(bench.number - 4, bench.number + 1):
        assert blocks.storage_at(number).get("Number", pallet="System") == number
