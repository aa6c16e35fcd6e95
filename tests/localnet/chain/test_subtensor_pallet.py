"""Subtensor's pallet as the SDK's generated catalogue knows it."""

import bittensor
import pytest

from localnet.chain.runtime import LocalRuntime
from localnet.chain.subtensor_pallet import MAX_TEMPO, MIN_TEMPO, SUBTENSOR, subtensor

PALLET = subtensor()
CATALOGUE = bittensor.storage.SubtensorModule


@pytest.mark.parametrize("name", [item.name for item in PALLET.storage])
def test_every_storage_item_is_one_of_subtensors(name: str) -> None:
    """Except those that are younger than the SDK's catalogue."""
    younger = {"TransactionKeyLastBlock", "HotkeyRoot", "HotkeySuccessor", "ColdkeyRoot"}
    assert hasattr(CATALOGUE, name) or name in younger


@pytest.mark.parametrize("name", [call.name for call in PALLET.calls])
def test_every_call_is_one_of_subtensors(name: str) -> None:
    assert hasattr(bittensor.calls.SubtensorModule, name)


def test_an_absent_neuron_has_no_default(runtime: LocalRuntime) -> None:
    assert runtime.decode(SUBTENSOR, "Uids", None) is None


def test_the_bounds_of_a_tempo_are_constants(runtime: LocalRuntime) -> None:
    assert runtime.codec.constant(SUBTENSOR, "MinTempo") == MIN_TEMPO
    assert runtime.codec.constant(SUBTENSOR, "MaxTempo") == MAX_TEMPO
