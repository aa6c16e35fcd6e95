"""The results of the runtime APIs, decoded by the codec."""

import pytest

from localnet.chain import epochs, runtime_api, subnet
from tests.localnet.chain.workbench import NETUID, OWNER, TAO, TEMPO, Workbench, key

ASKED = NETUID.to_bytes(2, "little")
NOWHERE = (99).to_bytes(2, "little")


def asked(bench: Workbench, api: str, method: str, parameters: bytes = ASKED) -> object:
    raw = runtime_api.answer(bench.runtime, f"{api}_{method}", parameters, bench.now)
    output = bench.runtime.codec.runtime_api_map()[api][method]["output"]
    return bench.runtime.codec.decode(output, raw)


def test_the_metagraph_has_every_neuron_in_columns(bench: Workbench) -> None:
    bench.neuron("a", TAO)
    bench.neuron("b", 0)
    graph = asked(bench, "SubnetInfoRuntimeApi", "get_metagraph")
    assert isinstance(graph, dict)
    assert graph["hotkeys"] == [key(name).ss58_address for name in "ab"]
    assert graph["coldkeys"] == [OWNER, OWNER]
    assert graph["total_stake"] == [TAO, 0]
    assert graph["validator_permit"] == [True, False]
    assert graph["block_at_registration"] == [1, 2]
    assert (graph["block"], graph["tempo"], graph["num_uids"]) == (bench.number, TEMPO, 2)
    assert {len(column) for column in graph.values() if isinstance(column, list)} >= {2}


def test_neurons_have_the_values_of_the_metagraph(bench: Workbench) -> None:
    bench.neuron("a", TAO)
    (neuron,) = asked(bench, "NeuronInfoRuntimeApi", "get_neurons_lite")  # type: ignore[misc]
    assert neuron["hotkey"] == key("a").ss58_address
    assert neuron["stake"] == [(OWNER, TAO)]
    assert neuron["axon_info"]["port"] == 0


def test_every_hyperparameter_has_its_value(bench: Workbench) -> None:
    entries = asked(bench, "SubnetInfoRuntimeApi", "get_subnet_hyperparams_v3")
    values = {entry["name"]: next(iter(entry["value"].values())) for entry in entries}  # type: ignore[attr-defined]
    assert values == {
        name: bench.now.get(kept.item, NETUID) for name, kept in subnet.HYPERPARAMETERS.items()
    }


def test_an_unknown_subnet_is_none(bench: Workbench) -> None:
    for method in ("get_metagraph", "get_subnet_hyperparams_v3"):
        assert asked(bench, "SubnetInfoRuntimeApi", method, NOWHERE) is None
    assert asked(bench, "NeuronInfoRuntimeApi", "get_neurons_lite", NOWHERE) == []


def test_the_next_epoch_and_the_fee(bench: Workbench) -> None:
    values = asked(bench, "SubnetInfoRuntimeApi", "get_next_epoch_start_block")
    assert values == epochs.schedule(bench.now, NETUID).next_epoch
    fee = asked(bench, "TransactionPaymentApi", "query_info", b"")
    assert isinstance(fee, dict)
    assert fee["partial_fee"] == 0


def test_only_metadata_version_15_exists(bench: Workbench) -> None:
    name = "Metadata_metadata_at_version"
    answer = runtime_api.answer(bench.runtime, name, (15).to_bytes(4, "little"), bench.now)
    assert answer.endswith(bench.runtime.metadata)
    assert runtime_api.answer(bench.runtime, name, (14).to_bytes(4, "little"), bench.now) == b"\x00"


@pytest.mark.parametrize("name", ["", "Core", "Core_version", "SubnetInfoRuntimeApi_nothing"])
def test_an_unknown_method_is_refused(bench: Workbench, name: str) -> None:
    with pytest.raises(runtime_api.UnknownMethodError):
        runtime_api.answer(bench.runtime, name, b"", bench.now)
