"""The operator's methods on a chain in the test's process."""

from typing import Any

import pytest

from localnet.chain import rpc
from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError
from localnet.chain.operator_rpc import ADVANCE_LIMIT, METHODS
from localnet.chain.pallets import COMMITMENTS
from localnet.chain.subnet import HYPERPARAMETERS
from tests.localnet.chain.workbench import NETUID, OWNER, Workbench, key

HOTKEY = key("a").ss58_address


def ask(bench: Workbench, method: str, *params: Any) -> Any:
    return rpc.call(bench.node, f"local_{method}", list(params))


def refused(bench: Workbench, method: str, *params: Any) -> RpcError:
    """The error of a request, which changed nothing."""
    before = bench.number
    with pytest.raises(RpcError) as caught:
        ask(bench, method, *params)
    assert bench.number == before
    return caught.value


def test_a_neuron_is_added_in_a_block_of_its_own(bench: Workbench) -> None:
    assert ask(bench, "addNeuron", HOTKEY, OWNER, 5) == {"uid": 0, "block": 1}
    assert ask(bench, "addNeuron", OWNER, OWNER, 0) == {"uid": 1, "block": 2}
    assert bench.now.get("TotalHotkeyAlpha", HOTKEY, NETUID) == 5
    assert bench.now.get("Owner", HOTKEY) == OWNER
    again = refused(bench, "addNeuron", HOTKEY, OWNER, 5)
    assert (again.code, again.message) == (REFUSED, "HotKeyAlreadyRegisteredInSubNet")


def test_stake_grants_permits_at_once(bench: Workbench) -> None:
    for name in "ab":
        ask(bench, "addNeuron", key(name).ss58_address, OWNER, 0)
    ask(bench, "setHyperparameter", "stake_threshold", 10)
    assert ask(bench, "setStake", HOTKEY, 10)["block"] == bench.number
    assert bench.now.get("ValidatorPermit", NETUID) == [True, False]
    assert refused(bench, "setStake", OWNER, 1).message == "HotKeyNotRegisteredInSubNet"


def test_funds_add_up(bench: Workbench) -> None:
    assert ask(bench, "fund", HOTKEY, 7)["balance_rao"] == 7
    assert ask(bench, "fund", HOTKEY, 3) == {"balance_rao": 10, "block": 2}
    account = bench.now.get("Account", HOTKEY, pallet="System")
    assert account["data"]["free"] == 10


def test_blocks_are_produced_at_once_up_to_a_number(bench: Workbench) -> None:
    assert ask(bench, "advance", 3) == {"block": 3}
    assert ask(bench, "advance", 0) == {"block": 3}
    assert refused(bench, "advance", ADVANCE_LIMIT + 1).code == INVALID_PARAMS


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_each_hyperparameter_is_set_within_its_type(bench: Workbench, name: str) -> None:
    known = HYPERPARAMETERS[name]
    if known.kind == "Bool":
        good: list[Any] = [True, False]
        bad: list[Any] = [1, None, "true"]
    else:
        good = [0, 7, {"U16": 2**16, "U32": 2**32, "U64": 2**63}[known.kind] - 1]
        bad = [good[-1] + 1, -1, True, "1"]
    for value in good:
        ask(bench, "setHyperparameter", name, value)
        assert bench.now.get(known.item, NETUID) == value
    for value in bad:
        assert refused(bench, "setHyperparameter", name, value).code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("name", "item", "keys", "pallet"),
    [
        ("stake_threshold", "StakeThreshold", (), "SubtensorModule"),
        ("burn", "Burn", (NETUID,), "SubtensorModule"),
        ("commitment_space", "MaxSpace", (), COMMITMENTS),
        ("max_epochs_per_block", "MaxEpochsPerBlock", (), "SubtensorModule"),
        ("collateral_lock_share", "CollateralLockShare", (NETUID,), "SubtensorModule"),
    ],
)
def test_values_beside_the_hyperparameters_are_set(
    bench: Workbench, name: str, item: str, keys: tuple[int, ...], pallet: str
) -> None:
    ask(bench, "setHyperparameter", name, 17)
    assert bench.now.get(item, *keys, pallet=pallet) == 17
    assert refused(bench, "setHyperparameter", name, -1).code == INVALID_PARAMS


def test_a_new_tempo_begins_an_epoch_anew(bench: Workbench) -> None:
    bench.advance(4)
    ask(bench, "setHyperparameter", "tempo", 20)
    assert bench.now.get("LastEpochBlock", NETUID) == bench.number == 5


def test_a_subnet_has_one_to_eight_mechanisms(bench: Workbench) -> None:
    ask(bench, "setHyperparameter", "mechanism_count", 8)
    assert bench.now.get("MechanismCountCurrent", NETUID) == 8
    for count in (0, 9):
        assert refused(bench, "setHyperparameter", "mechanism_count", count).code == INVALID_PARAMS


def test_the_drain_ratio_is_given_in_its_smallest_units(bench: Workbench) -> None:
    ask(bench, "setHyperparameter", "collateral_drain_ratio", 1 << 62)
    assert bench.now.get("CollateralDrainRatio", NETUID) == {"bits": 1 << 62}


def test_an_unknown_hyperparameter_is_named(bench: Workbench) -> None:
    assert refused(bench, "setHyperparameter", "colour", 1).message == (
        "unknown hyperparameter colour"
    )


def test_the_node_offers_every_method(bench: Workbench) -> None:
    assert METHODS.keys() <= set(rpc.call(bench.node, "rpc_methods", [])["methods"])
