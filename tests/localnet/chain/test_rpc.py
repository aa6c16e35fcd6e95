"""The node's JSON-RPC methods, called without a socket."""

from typing import Any

import pytest

from localnet.chain import rpc
from localnet.chain.errors import RpcError
from localnet.chain.runtime import LocalRuntime
from tests.localnet.chain.workbench import NETUID, Workbench, key


def ask(bench: Workbench, method: str, *params: Any) -> Any:
    return rpc.call(bench.node, method, list(params))


def test_storage_is_read_at_a_block_by_its_hash(bench: Workbench) -> None:
    item = "0x" + bench.runtime.key("SubtensorModule", "SubnetworkN", (NETUID,)).hex()
    then = ask(bench, "chain_getHead")
    bench.neuron("a")
    assert ask(bench, "state_getStorageAt", item, then) is None
    assert ask(bench, "state_getStorageAt", item) == "0x0100"
    (group,) = ask(bench, "state_queryStorageAt", [item, "0x00"], None)
    assert group["changes"] == [[item, "0x0100"], ["0x00", None]]
    assert group["block"] == ask(bench, "chain_getHead")


def test_keys_come_in_pages(bench: Workbench) -> None:
    for name in "abc":
        bench.neuron(name)
    prefix = "0x" + bench.runtime.key("SubtensorModule", "Uids", (NETUID,)).hex()
    first = ask(bench, "state_getKeysPaged", prefix, 2, prefix, None)
    rest = ask(bench, "state_getKeysPaged", prefix, 2, first[-1], None)
    assert (len(first), len(rest)) == (2, 1)
    assert sorted({*first, *rest}) == [*first, *rest]
    assert ask(bench, "state_getKeysPaged", prefix, 2, rest[-1], None) == []


def test_a_block_contains_its_extrinsics(bench: Workbench) -> None:
    raw = bench.sign("a", "remark", {"remark": []}, pallet="System")
    named = ask(bench, "author_submitExtrinsic", "0x" + raw.hex())
    assert ask(bench, "account_nextIndex", key("a").ss58_address) == 1
    bench.node.produce()
    block = ask(bench, "chain_getBlock")["block"]
    assert block["extrinsics"] == ["0x" + raw.hex()]
    assert block["header"] == ask(bench, "chain_getHeader")
    assert block["header"]["number"] == "0x1"
    assert block["header"]["parentHash"] == ask(bench, "chain_getBlockHash", 0)
    assert named.startswith("0x")


@pytest.mark.parametrize("method", ["state_getStorageAt", "chain_getHeader"])
def test_old_state_is_an_error_that_it_is_discarded(runtime: LocalRuntime, method: str) -> None:
    bench = Workbench(runtime, kept=3)
    old = ask(bench, "chain_getHead")
    bench.advance(20)
    assert ask(bench, "chain_getBlockHash", 0) == old
    params = ["0x00", old] if method == "state_getStorageAt" else [old]
    with pytest.raises(RpcError, match=f"State already discarded for {old}"):
        ask(bench, method, *params)


def test_a_refused_extrinsic_has_the_error_of_substrate_nodes(bench: Workbench) -> None:
    raw = bench.sign("a", "remark", {"remark": []}, pallet="System", genesis=bytes(32))
    with pytest.raises(RpcError) as refused:
        ask(bench, "author_submitExtrinsic", "0x" + raw.hex())
    assert refused.value.as_json() == {
        "code": 1010,
        "message": "Invalid Transaction",
        "data": "Transaction has a bad signature",
    }


def test_an_unknown_method_is_an_error(bench: Workbench) -> None:
    with pytest.raises(RpcError) as unknown:
        ask(bench, "chain_destroy")
    assert unknown.value.code == -32601
