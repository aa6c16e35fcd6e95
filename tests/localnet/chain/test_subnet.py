"""Registration and permits."""

import pytest

from localnet.chain import subnet
from localnet.chain.storage import DispatchError
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, Workbench, key


def test_neurons_get_uids_in_order(bench: Workbench) -> None:
    assert [bench.neuron(name) for name in "abc"] == [0, 1, 2]
    assert subnet.hotkeys(bench.now, NETUID) == [key(name).ss58_address for name in "abc"]
    assert bench.now.get("Owner", key("a").ss58_address) == OWNER


def test_a_hotkey_is_registered_once(bench: Workbench) -> None:
    bench.neuron("a")
    before = bench.number
    with pytest.raises(DispatchError, match="HotKeyAlreadyRegisteredInSubNet"):
        bench.neuron("a")
    assert bench.number == before
    assert bench.neuron("b") == 1


def test_a_full_subnet_refuses_neurons(bench: Workbench) -> None:
    bench.put("MaxAllowedUids", NETUID, value=1)
    bench.neuron("a")
    with pytest.raises(DispatchError, match="NoNeuronIdAvailable"):
        bench.neuron("b")


def test_permits_go_to_the_most_staked(bench: Workbench) -> None:
    bench.put("MaxAllowedValidators", NETUID, value=2)
    for name, stake in {"a": 1, "b": 3 * TAO, "c": 0, "d": 2}.items():
        bench.neuron(name, stake)
    assert bench.now.get("ValidatorPermit", NETUID) == [False, True, False, True]


def test_no_stake_no_permit(bench: Workbench) -> None:
    bench.neuron("a", 0)
    assert bench.now.get("ValidatorPermit", NETUID) == [False]
