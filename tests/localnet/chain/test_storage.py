"""Storage items are read as values, now or at a block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.pallets import COMMITMENTS
from localnet.chain.runtime import LocalRuntime
from localnet.chain.state import ChainState
from localnet.chain.storage import DispatchError, Storage
from tests.localnet.chain.workbench import NETUID, key

RUNTIME = LocalRuntime(1000)
ACCOUNT = key("a").ss58_address


@pytest.fixture
def state() -> ChainState:
    return ChainState()


def storage_at(state: ChainState, number: int, *, is_pinned: bool = False) -> Storage:
    return Storage(RUNTIME, state, number, is_pinned=is_pinned)


@given(st.dictionaries(st.integers(0, 5), st.integers(0, 65535) | st.none(), min_size=1))
def test_what_is_put_is_got_and_what_is_removed_has_its_default(
    values: dict[int, int | None],
) -> None:
    storage = storage_at(ChainState(), 1)
    for netuid, value in values.items():
        storage.put("Tempo", netuid, value=7)
        storage.put("Tempo", netuid, value=value)
    for netuid, value in values.items():
        assert storage.get("Tempo", netuid) == (360 if value is None else value)


def test_a_pinned_storage_has_the_values_at_the_end_of_its_block(state: ChainState) -> None:
    pending = storage_at(state, 1)
    for number in (1, 2):
        pending.put("Uids", NETUID, ACCOUNT, value=number)
        state.commit(number)
    pending.put("Uids", NETUID, ACCOUNT, value=3)
    pinned = [storage_at(state, number, is_pinned=True) for number in (0, 1, 2)]
    assert [one.get("Uids", NETUID, ACCOUNT) for one in pinned] == [None, 1, 2]
    assert storage_at(state, 3).get("Uids", NETUID, ACCOUNT) == 3


def test_items_of_other_pallets_are_apart(state: ChainState) -> None:
    storage = storage_at(state, 1)
    storage.put("MaxSpace", value=5, pallet=COMMITMENTS)
    assert storage.get("MaxSpace", pallet=COMMITMENTS) == 5
    assert list(state.keys(b"", b"", 1)) == []
    state.commit(1)
    assert list(state.keys(b"", b"", 1)) == [RUNTIME.key(COMMITMENTS, "MaxSpace", ())]


def test_a_failed_call_names_the_error_and_its_pallet() -> None:
    error = DispatchError("SettingWeightsTooFast")
    assert (str(error), error.pallet) == ("SettingWeightsTooFast", "SubtensorModule")
    named = RUNTIME.error(error.pallet, error.name)
    assert named["Module"]["error"][0] == 29
