"""The cost of a frame is checked before it is parsed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde import frames
from compute_horde.errors import ProtocolError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just('[{,"\\'),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=30,
)


def held(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(held(one) for one in inner)


@given(values)
def test_no_more_values_are_let_through_than_were_counted(value):
    text = frames.json.dumps(value).encode()
    assert frames.parsed(text) == value
    assert held(value) <= frames._openers(text) + 1
    if frames._exceeds(text, 10):
        assert held(value) > 5


@given(values)
def test_many_values_are_counted_as_over_the_limit(value):
    if held(value) > 40:
        assert frames._exceeds(frames.json.dumps(value).encode(), 39)


def test_a_frame_with_the_most_values_is_read_and_one_more_is_not():
    most = "[" + "0," * (frames.MAX_VALUES - 1) + "0]"
    assert len(frames.parsed(most)) == frames.MAX_VALUES
    with pytest.raises(ProtocolError, match="values"):
        frames.parsed("[0," + most[1:])


@pytest.mark.parametrize("inside", ['\\"', "\\", "a", "[", '"'])
def test_a_string_without_an_end_is_measured_as_quickly_as_any_other(inside):
    frame = '"' + inside * 20_000 + "," * (frames.MAX_VALUES + 1)
    began = time.process_time()
    with pytest.raises(ProtocolError):
        frames.parsed(frame)
    assert time.process_time() - began < 1


def test_the_limit_counts_bytes_of_the_encoded_text():
    assert frames.checked("łł", max_bytes=4) == "łł".encode()
    with pytest.raises(ProtocolError, match="over 3 bytes"):
        frames.checked("łł", max_bytes=3)


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60))
def test_what_is_not_read_is_a_protocol_error(raw):
    try:
        value = frames.parsed(raw)
    except ProtocolError:
        return
    assert value is None or isinstance(value, str | int | float | list | dict)


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        ('{"a":1,"a":2}', {"a": 2}),
        ("[1e400,-Infinity]", [float("inf"), float("-inf")]),
        (b'"\xc5\x82"', "ł"),
    ],
)
def test_json_is_read_as_python_reads_it(frame, value):
    assert frames.parsed(frame) == value
