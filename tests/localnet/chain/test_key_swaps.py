"""A swapped key keeps the neuron, and its line of keys is recorded."""

import pytest

from localnet.chain import collateral, subnet
from localnet.chain.key_swaps import swap_coldkey, swap_hotkey
from localnet.chain.storage import DispatchError
from tests.localnet.chain.workbench import NETUID, OWNER, Workbench, key

A, B, C = (key(name).ss58_address for name in "abc")


def swap(bench: Workbench, old: str, new: str) -> int:
    return bench.node.alter(lambda storage: swap_hotkey(storage, NETUID, old, new))


def test_a_neuron_keeps_what_it_has(bench: Workbench) -> None:
    bench.neuron("x")
    bench.neuron("a", 5)
    bench.node.alter(lambda storage: collateral.lock(storage, NETUID, A, OWNER, 3))
    assert swap(bench, A, B) == 1
    assert subnet.hotkeys(bench.now, NETUID)[1] == B
    assert bench.now.get("Uids", NETUID, A) is None
    assert bench.now.get("Uids", NETUID, B) == 1
    assert bench.now.get("Owner", B) == OWNER
    assert bench.now.get("TotalHotkeyAlpha", B, NETUID) == 5
    assert bench.now.get("TotalHotkeyAlpha", A, NETUID) == 0
    assert collateral.bond(bench.now, NETUID, B, OWNER)["locked"] == 3
    assert collateral.bond(bench.now, NETUID, A, OWNER) == collateral.NO_BOND


def test_all_keys_of_a_line_have_its_first_as_root(bench: Workbench) -> None:
    bench.neuron("a")
    swap(bench, A, B)
    swap(bench, B, C)
    assert bench.now.get("HotkeyRoot", NETUID, B) == bench.now.get("HotkeyRoot", NETUID, C) == A
    assert bench.now.get("HotkeyRoot", NETUID, A) is None
    assert bench.now.get("HotkeySuccessor", NETUID, A) == B
    assert bench.now.get("HotkeySuccessor", NETUID, C) is None
    swap(bench, C, A)
    assert bench.now.get("HotkeyRoot", NETUID, A) is None
    assert bench.now.get("HotkeySuccessor", NETUID, A) is None


def test_a_swap_needs_a_neuron_and_a_new_key(bench: Workbench) -> None:
    bench.neuron("a")
    bench.neuron("b")
    with pytest.raises(DispatchError, match="HotKeyAlreadyRegisteredInSubNet"):
        swap(bench, A, B)
    with pytest.raises(DispatchError, match="HotKeyNotRegisteredInSubNet"):
        swap(bench, C, B)


def test_a_coldkey_takes_its_neurons_along(bench: Workbench) -> None:
    bench.neuron("a")
    bench.node.alter(lambda storage: collateral.lock(storage, NETUID, A, OWNER, 3))
    bench.node.alter(lambda storage: swap_coldkey(storage, NETUID, OWNER, C))
    assert bench.now.get("Owner", A) == C
    assert collateral.bond(bench.now, NETUID, A, C)["locked"] == 3
    assert bench.now.get("ColdkeyRoot", C) == OWNER
