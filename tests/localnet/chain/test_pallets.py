"""The pallets have no number twice, and defaults that their types can have."""

import pytest

from localnet.chain.metadata import Pallet
from localnet.chain.pallets import pallets
from localnet.chain.runtime import LocalRuntime

PALLETS = pallets(1000)


@pytest.mark.parametrize("pallet", PALLETS, ids=lambda pallet: pallet.name)
def test_numbers_and_names_are_unique(pallet: Pallet) -> None:
    for variants in (pallet.calls, pallet.events, pallet.errors):
        assert len({one.index for one in variants}) == len(variants)
        assert len({one.name for one in variants}) == len(variants)
    assert len({item.name for item in pallet.storage}) == len(pallet.storage)
    assert [one.index for one in PALLETS].count(pallet.index) == 1


DEFAULTS = [
    pytest.param(pallet.name, item.name, item.default, id=f"{pallet.name}.{item.name}")
    for pallet in PALLETS
    for item in pallet.storage
    if item.default is not None
]


@pytest.mark.parametrize(("pallet", "item", "default"), DEFAULTS)
def test_a_default_is_a_value_of_its_type(
    runtime: LocalRuntime, pallet: str, item: str, default: bytes
) -> None:
    value = runtime.decode(pallet, item, None)
    assert value is not None
    assert runtime.encode(pallet, item, value) == default


def test_the_time_between_blocks_is_the_only_difference() -> None:
    changed = [one.name for one, other in zip(PALLETS, pallets(2000), strict=True) if one != other]
    assert changed == ["Aura"]
    (slot,) = pallets(2000)[2].constants
    assert slot.value == (2000).to_bytes(8, "little")
