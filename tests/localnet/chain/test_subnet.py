"""Registration, permits and epochs."""

import pytest

from compute_horde.cycles import epoch_start
from localnet.chain import subnet
from localnet.chain.storage import DispatchError
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, TEMPO, Workbench, key


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


def test_epochs_begin_at_the_blocks_of_compute_horde_cycles(bench: Workbench) -> None:
    bench.advance(40)
    epochs = {
        bench.node.blocks.storage_at(number).get("LastEpochBlock", NETUID)
        for number in range(bench.number + 1)
    }
    expected = {epoch_start(number, netuid=NETUID, tempo=TEMPO) for number in range(41)}
    assert epochs - {0} == {block for block in expected if block > 0}
    assert bench.now.get("SubnetEpochIndex", NETUID) == len(epochs - {0})


def test_the_next_epoch_is_predicted(bench: Workbench) -> None:
    bench.advance(3)
    epoch = subnet.next_epoch(bench.now, NETUID)
    assert epoch is not None
    bench.advance(epoch - bench.number)
    assert bench.now.get("LastEpochBlock", NETUID) == epoch
    assert bench.now.get("BlocksSinceLastStep", NETUID) == 0


def test_without_a_tempo_no_epoch_runs(bench: Workbench) -> None:
    bench.put("Tempo", NETUID, value=0)
    index = bench.now.get("SubnetEpochIndex", NETUID)
    bench.advance(30)
    assert bench.now.get("SubnetEpochIndex", NETUID) == index
    assert subnet.next_epoch(bench.now, NETUID) is None
