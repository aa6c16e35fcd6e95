"""Defaults and constants of the main pallet; test_runtime compares it with the SDK's catalogue."""

from localnet.chain.runtime import LocalRuntime
from localnet.chain.subtensor_pallet import MAX_TEMPO, MIN_TEMPO, SUBTENSOR


def test_an_absent_neuron_has_no_default(runtime: LocalRuntime) -> None:
    assert runtime.decode(SUBTENSOR, "Uids", None) is None


def test_the_bounds_of_a_tempo_are_constants(runtime: LocalRuntime) -> None:
    assert runtime.codec.constant(SUBTENSOR, "MinTempo") == MIN_TEMPO
    assert runtime.codec.constant(SUBTENSOR, "MaxTempo") == MAX_TEMPO
