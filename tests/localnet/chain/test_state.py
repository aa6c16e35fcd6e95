"""The state has the values at every kept block."""

from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.state import ChainState


def test_a_write_is_seen_at_once_and_history_stays() -> None:
    state = ChainState()
    state.write(b"k", b"1")
    assert state.read(b"k") == b"1"
    assert state.read(b"k", 0) is None
    state.commit(0)
    state.write(b"k", b"2")
    state.commit(5)
    assert [state.read(b"k", block) for block in (0, 4, 5, 9)] == [b"1", b"1", b"2", b"2"]


def test_a_rollback_leaves_no_trace() -> None:
    state = ChainState()
    state.write(b"k", b"1")
    savepoint = state.savepoint()
    state.write(b"k", b"2")
    state.write(b"other", b"2")
    state.rollback(savepoint)
    assert state.commit(0) == {b"k": b"1"}


def test_only_what_changes_is_a_change() -> None:
    state = ChainState()
    state.write(b"k", b"1")
    state.commit(0)
    state.write(b"k", b"1")
    state.write(b"never", None)
    assert state.commit(1) == {}
    state.write(b"k", None)
    assert state.commit(2) == {b"k": None}


def test_keys_are_paged_in_order_and_by_block() -> None:
    state = ChainState()
    for block, key in enumerate([b"ac", b"ab", b"b", b"aa"]):
        state.write(key, b"1")
        state.commit(block)
    assert list(state.keys(b"a", b"", 3)) == [b"aa", b"ab", b"ac"]
    assert list(state.keys(b"a", b"a", 3)) == [b"aa", b"ab", b"ac"]
    assert list(state.keys(b"a", b"aa", 3)) == [b"ab", b"ac"]
    assert list(state.keys(b"a", b"", 0)) == [b"ac"]
    assert list(state.keys(b"c", b"", 3)) == []


WRITES = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.binary(max_size=2)))


@given(st.lists(WRITES, max_size=12), st.integers(0, 12))
def test_discarding_keeps_the_values_at_later_blocks(
    blocks: list[list[tuple[bytes, bytes | None]]], first: int
) -> None:
    state, other = ChainState(), ChainState()
    for number, writes in enumerate(blocks):
        for key, value in writes:
            state.write(key, value)
            other.write(key, value)
        state.commit(number)
        other.commit(number)
    state.discard_before(first)
    for number in range(first, len(blocks) + 1):
        assert state.snapshot_at(number) == other.snapshot_at(number)
        assert list(state.keys(b"", b"", number)) == list(other.keys(b"", b"", number))
