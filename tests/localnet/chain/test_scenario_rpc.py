"""The operator's methods for what happens by itself on the live chain."""

from typing import Any

import pytest

from localnet.chain import collateral, rpc
from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError
from localnet.chain.pallets import LOCAL
from localnet.chain.scenario_rpc import METHODS, ROW_LIMIT
from localnet.chain.weight_calls import mechanism_index
from tests.localnet.chain.workbench import NETUID, OWNER, Workbench, key

HOTKEY, OTHER = key("a").ss58_address, key("b").ss58_address


def ask(bench: Workbench, method: str, *params: Any) -> Any:
    return rpc.call(bench.node, f"local_{method}", list(params))


def refused(bench: Workbench, method: str, *params: Any) -> RpcError:
    """The error of a request, which changed nothing."""
    before = bench.number
    with pytest.raises(RpcError) as caught:
        ask(bench, method, *params)
    assert bench.number == before
    return caught.value


def test_the_owner_is_set(bench: Workbench) -> None:
    ask(bench, "setOwner", OWNER)
    assert bench.now.get("SubnetOwner", NETUID) == OWNER


def test_an_epoch_is_triggered_at_a_block(bench: Workbench) -> None:
    asked = ask(bench, "triggerEpoch", 2)
    assert asked == {"epoch_block": 3, "block": 1}
    ask(bench, "advance", 2)
    assert bench.now.get("LastEpochBlock", NETUID) == 3
    assert ask(bench, "triggerEpoch", 0)["epoch_block"] == 4
    assert bench.now.get("LastEpochBlock", NETUID) == 4


def test_the_content_of_a_commit_is_supplied_for_a_mechanism(bench: Workbench) -> None:
    ask(bench, "openCommit", HOTKEY, [[1, 2], [3, 4]], 5, 6)
    opened = bench.now.get("OpenedCommits", mechanism_index(NETUID, 5), HOTKEY, pallet=LOCAL)
    assert opened == {"row": [(1, 2), (3, 4)], "version_key": 6}
    ask(bench, "openCommit", HOTKEY, [])
    assert bench.now.get("OpenedCommits", NETUID, HOTKEY, pallet=LOCAL)["row"] == []


@pytest.mark.parametrize(
    "weights", ["x", [1], [[1]], [[1, 2, 3]], [[-1, 2]], [[1, 65536]], [[0, 1]] * (ROW_LIMIT + 1)]
)
def test_content_that_is_no_row_is_refused(bench: Workbench, weights: Any) -> None:
    assert refused(bench, "openCommit", HOTKEY, weights).code == INVALID_PARAMS


def test_reveals_are_made_to_fail(bench: Workbench) -> None:
    ask(bench, "failReveals", 3)
    assert bench.now.get("RevealsToFail", pallet=LOCAL) == 3


def test_collateral_is_locked_and_released(bench: Workbench) -> None:
    bench.neuron("a")
    ask(bench, "lockCollateral", HOTKEY, 10)
    ask(bench, "earn", HOTKEY, 4)
    assert collateral.bond(bench.now, NETUID, HOTKEY, OWNER)["locked"] == 6


def test_keys_are_swapped(bench: Workbench) -> None:
    bench.neuron("a")
    assert ask(bench, "swapHotkey", HOTKEY, OTHER)["uid"] == 0
    again = refused(bench, "swapHotkey", HOTKEY, OTHER)
    assert (again.code, again.message) == (REFUSED, "HotKeyNotRegisteredInSubNet")
    ask(bench, "swapColdkey", OWNER, HOTKEY)
    assert bench.now.get("Owner", OTHER) == HOTKEY


def test_the_runtime_is_upgraded_from_the_next_block_on(bench: Workbench) -> None:
    before = bench.number
    asked = ask(bench, "upgradeRuntime", "readable")
    versions = [
        rpc.call(bench.node, "state_getRuntimeVersion", ["0x" + block_hash.hex()])["specVersion"]
        for number in (before, bench.number)
        if (block_hash := bench.node.blocks.hash_of(number))
    ]
    assert versions == [435, asked["spec_version"]]
    assert refused(bench, "upgradeRuntime", "wild").message == (
        "kind must be one of readable, metagraph, metadata"
    )


def test_the_node_offers_every_method(bench: Workbench) -> None:
    assert METHODS.keys() <= set(rpc.call(bench.node, "rpc_methods", [])["methods"])
