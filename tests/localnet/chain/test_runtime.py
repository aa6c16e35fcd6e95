"""The local runtime compared with subtensor's, as the installed SDK describes it."""

import inspect
from typing import Any

import pytest
from bittensor._generated import calls, errors, runtime_apis, storage

from localnet.chain.pallets import LOCAL
from localnet.chain.runtime import LocalRuntime
from tests.localnet.chain.workbench import NETUID

# What the generated builders call `Any` has no name of its own in the network's metadata.
UNNAMED = {"Any"}


def _pallets() -> list[dict[str, Any]]:
    """The pallets, without the one that only a local chain has."""
    found: list[dict[str, Any]] = LocalRuntime(1000).codec.metadata_ir()["pallets"]
    return [pallet for pallet in found if pallet["name"] != LOCAL]


CALLS = [(pallet["name"], call) for pallet in _pallets() for call in pallet["calls"]]
ITEMS = [(pallet["name"], item) for pallet in _pallets() for item in pallet["storage"]]
ERRORS = [(pallet, error) for pallet in _pallets() for error in pallet["errors"]]


def test_there_is_something_to_compare() -> None:
    assert len(CALLS) >= 9
    assert len(ITEMS) >= 40
    assert len(ERRORS) >= 30


@pytest.mark.parametrize(("pallet", "call"), CALLS, ids=lambda value: str(value)[:40])
def test_a_call_has_the_arguments_and_types_of_the_networks(
    pallet: str, call: dict[str, Any]
) -> None:
    builder = getattr(getattr(calls, pallet), call["name"])
    theirs = inspect.signature(builder).parameters
    ours = {argument["name"]: argument["type_ident"] for argument in call["args"]}
    assert list(theirs) == list(ours)
    for name, parameter in theirs.items():
        annotation = str(parameter.annotation)
        if annotation not in UNNAMED:
            kind = ours[name].removeprefix("Compact<").removesuffix(">")
            assert annotation in (ours[name], kind)


@pytest.mark.parametrize(("pallet", "item"), ITEMS, ids=lambda value: str(value)[:40])
def test_a_storage_item_has_the_type_of_the_networks(pallet: str, item: dict[str, Any]) -> None:
    theirs = getattr(getattr(storage, pallet), item["name"])
    assert item["value_type_ident"] == theirs.value_type_ident


@pytest.mark.parametrize(("pallet", "error"), ERRORS, ids=lambda value: str(value)[:40])
def test_an_error_has_the_number_of_the_networks(
    pallet: dict[str, Any], error: dict[str, Any]
) -> None:
    theirs = errors.ERRORS[pallet["index"], error["index"]]
    assert (theirs.pallet, theirs.name) == (pallet["name"], error["name"])


def test_every_runtime_api_method_is_one_of_the_networks(runtime: LocalRuntime) -> None:
    for api, methods in runtime.codec.runtime_api_map().items():
        if api != "Core":
            for method in methods:
                assert getattr(getattr(runtime_apis, api), method) == (api, method)


def test_the_block_time_is_in_the_metadata_and_so_in_the_genesis_hash() -> None:
    slow, fast = LocalRuntime(12000), LocalRuntime(250)
    assert slow.codec.constant("Aura", "SlotDuration") == 12000
    assert fast.codec.constant("Aura", "SlotDuration") == 250
    assert slow.genesis_hash != fast.genesis_hash
    assert slow.genesis_hash == LocalRuntime(12000).genesis_hash


def test_absence_reads_as_the_default_or_as_nothing(runtime: LocalRuntime) -> None:
    assert runtime.decode("SubtensorModule", "Tempo", None) == 360
    assert runtime.decode("SubtensorModule", "Axons", None) is None
    assert runtime.key("SubtensorModule", "Tempo", (NETUID,)) != runtime.key(
        "SubtensorModule", "Tempo", (NETUID + 1,)
    )


def test_an_error_is_named_by_pallet_and_number(runtime: LocalRuntime) -> None:
    error = runtime.error("SubtensorModule", "SettingWeightsTooFast")
    assert error == {"Module": {"index": 7, "error": [29, 0, 0, 0]}}
