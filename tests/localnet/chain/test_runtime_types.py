"""Values of the runtime's types have the bytes that subtensor's have, by the SDK's codec."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.pallets import COMMITMENTS
from localnet.chain.runtime import LocalRuntime
from localnet.chain.runtime_types import COMMITMENT_DATA, ERA, RAW_LIMIT
from tests.localnet.chain.workbench import key

RUNTIME = LocalRuntime(1000)
ACCOUNT = key("a")


def encoded(pallet: str, item: str, value: Any) -> bytes:
    """The bytes of a storage value, which decode to the same value again."""
    raw = RUNTIME.encode(pallet, item, value)
    assert RUNTIME.encode(pallet, item, RUNTIME.decode(pallet, item, raw)) == raw
    return raw


def test_a_balance_is_four_counters_and_four_amounts() -> None:
    data = {"free": 5, "reserved": 6, "frozen": 7, "flags": 8}
    value = {"nonce": 1, "consumers": 2, "providers": 3, "sufficients": 4, "data": data}
    expected = b"".join(
        number.to_bytes(size, "little")
        for number, size in zip(range(1, 9), [4, 4, 4, 4, 8, 8, 8, 16], strict=True)
    )
    assert encoded("System", "Account", value) == expected


def test_an_axon_has_its_fields_in_order() -> None:
    sizes = {
        "block": 8, "version": 4, "ip": 16, "port": 2, "ip_type": 1, "protocol": 1,
        "placeholder1": 1, "placeholder2": 1,
    }  # fmt: skip
    value = {name: number for number, name in enumerate(sizes, 1)}
    expected = b"".join(value[name].to_bytes(size, "little") for name, size in sizes.items())
    assert encoded("SubtensorModule", "Axons", value) == expected


@given(st.binary(max_size=RAW_LIMIT))
def test_raw_commitments_have_their_length_in_the_variant(data: bytes) -> None:
    info = {"fields": [{f"Raw{len(data)}": "0x" + data.hex()}]}
    raw = encoded(COMMITMENTS, "CommitmentOf", {"deposit": 0, "block": 9, "info": info})
    assert raw == bytes(8) + (9).to_bytes(4, "little") + bytes([1 << 2, len(data) + 1]) + data


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=60))
def test_a_weight_row_is_a_list_of_pairs(row: list[tuple[int, int]]) -> None:
    expected = bytes([len(row) << 2]) + b"".join(
        number.to_bytes(2, "little") for pair in row for number in pair
    )
    assert encoded("SubtensorModule", "Weights", row) == expected


@pytest.mark.parametrize("enum", [COMMITMENT_DATA, ERA], ids=["data", "era"])
def test_a_variant_for_each_number_exists_once(enum: Any) -> None:
    numbers = [one.index for one in enum.variants]
    assert sorted(numbers) == list(range(len(numbers)))
