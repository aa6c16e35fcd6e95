"""A node produces blocks and notifies its listener."""

import pytest

from localnet.chain.storage import Storage
from tests.localnet.chain.workbench import NETUID, TEMPO, Workbench

REMARK = {"remark": []}


def test_a_new_chain_has_its_subnet_in_the_first_block(bench: Workbench) -> None:
    assert bench.number == 0
    assert bench.now.get("NetworksAdded", NETUID)
    assert bench.now.get("Tempo", NETUID) == TEMPO
    assert bench.listener.blocks == [0]


def test_the_listener_is_notified_of_blocks_and_extrinsics(bench: Workbench) -> None:
    signed = bench.node.submit(bench.sign("a", "remark", REMARK, pallet="System"))
    block = bench.node.produce()
    named = "0x" + block.hash.hex()
    assert bench.listener.blocks == [0, 1]
    assert bench.listener.statuses == [
        (signed.hash, {"inBlock": named}),
        (signed.hash, {"finalized": named}),
    ]


def test_a_failed_call_uses_its_nonce_and_has_its_error_in_the_events(bench: Workbench) -> None:
    row = {"netuid": NETUID, "dests": [0], "weights": [1], "version_key": 0}
    assert bench.do("a", "set_weights", **row) == "HotKeyNotRegisteredInSubNet"
    assert bench.do("a", "remark", "System", **REMARK) is None


def test_many_in_one_block_each_have_their_own_outcome(bench: Workbench) -> None:
    row = {"netuid": NETUID, "dests": [0], "weights": [1], "version_key": 0}
    bench.node.submit(bench.sign("a", "remark", REMARK, pallet="System"))
    bench.node.submit(bench.sign("b", "set_weights", row))
    bench.node.submit(bench.sign("a", "remark", REMARK, pallet="System"))
    assert len(bench.node.produce().extrinsics) == 3
    events = bench.now.get("Events", pallet="System")
    outcomes = {event["extrinsic_idx"]: event["event_id"] for event in events}
    assert sorted(outcomes.values()) == ["ExtrinsicFailed", "ExtrinsicSuccess", "ExtrinsicSuccess"]


def test_a_change_that_fails_is_undone_and_produces_no_block(bench: Workbench) -> None:
    def change(storage: Storage) -> None:
        storage.put("Tempo", NETUID, value=99)
        raise ValueError

    with pytest.raises(ValueError):
        bench.node.alter(change)
    bench.advance(1)
    assert bench.now.get("Tempo", NETUID) == TEMPO
    assert bench.number == 1
