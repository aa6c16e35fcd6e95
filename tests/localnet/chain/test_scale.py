"""The SCALE primitives, compared with the codec of the SDK."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.runtime import LocalRuntime
from localnet.chain.scale import Reader, ScaleError, compact, text, vector

EDGES = [0, 1, 63, 64, 16383, 16384, 2**30 - 1, 2**30, 2**32, 2**63, 2**64 - 1]


@pytest.mark.parametrize("number", EDGES)
def test_compact_numbers_are_written_as_the_sdk_writes_them(
    runtime: LocalRuntime, number: int
) -> None:
    assert compact(number) == bytes(runtime.codec.encode("Compact<u64>", number))


@given(st.integers(0, 2**128))
def test_a_compact_number_is_read_back(number: int) -> None:
    reader = Reader(compact(number) + b"rest")
    assert reader.compact() == number
    assert reader.rest() == b"rest"


def test_text_and_vectors_carry_their_length() -> None:
    assert text("é") == b"\x08\xc3\xa9"
    assert vector([b"a", b"bc"]) == b"\x08abc"


@given(st.binary(max_size=20))
def test_any_bytes_end_in_a_number_or_an_error(data: bytes) -> None:
    reader = Reader(data)
    try:
        reader.compact()
    except ScaleError:
        return
    assert data.endswith(reader.rest())
    assert reader.rest() == b""


def test_nothing_is_read_past_the_end() -> None:
    with pytest.raises(ScaleError):
        Reader(b"ab").take(3)
