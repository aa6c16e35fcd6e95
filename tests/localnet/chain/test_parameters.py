"""Parameters are read by position or by name, and checked."""

from typing import Any

import pytest
from bittensor_core import Keypair
from hypothesis import given
from hypothesis import strategies as st

from localnet.chain.errors import INVALID_PARAMS, RpcError
from localnet.chain.parameters import RAO_LIMIT, Parameters, as_bytes, as_natural

ACCOUNT = Keypair.create_from_uri("//a").ss58_address
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def refusal(call: Any) -> str:
    """The message of an invalid parameter."""
    with pytest.raises(RpcError) as caught:
        call()
    assert caught.value.code == INVALID_PARAMS
    return caught.value.message


@pytest.mark.parametrize("params", [["x", 5], {"first": "x", "second": 5}])
def test_a_parameter_has_a_position_and_a_name(params: Any) -> None:
    parameters = Parameters(params)
    assert parameters.text(0, "first") == "x"
    assert parameters.natural(1, "second") == 5
    assert parameters.optional(2, "third") is None
    assert refusal(lambda: parameters.required(2, "third")) == "the parameter third is missing"


def test_no_parameters_at_all_are_an_empty_list() -> None:
    assert Parameters(None).optional(0, "a") is None
    assert refusal(lambda: Parameters("a")) == "params must be a list or an object"


@given(JSON, JSON)
def test_whatever_comes_is_read_or_refused(first: Any, second: Any) -> None:
    parameters = Parameters([first, second])
    for read, kind in (
        (lambda: parameters.text(0, "a"), str),
        (lambda: parameters.hexadecimal(0, "a"), bytes),
        (lambda: parameters.natural(0, "a"), int),
        (lambda: parameters.account(0, "a"), str),
        (lambda: parameters.texts(0, "a", 2), list),
    ):
        assert type(answer(read)) in (kind, RpcError)


def answer(read: Any) -> Any:
    """The value that is read, or the refusal."""
    try:
        return read()
    except RpcError as exc:
        return exc


@given(st.binary(), st.booleans())
def test_bytes_come_in_hexadecimal(value: bytes, has_prefix: bool) -> None:
    text = ("0x" if has_prefix else "") + value.hex()
    assert as_bytes(text, "a") == value == Parameters([text]).hexadecimal(0, "a")


@pytest.mark.parametrize("text", ["0xg0", "0x0", "x"])
def test_what_is_not_hexadecimal_is_refused(text: str) -> None:
    assert refusal(lambda: as_bytes(text, "a")) == "a must be hexadecimal"


@given(st.integers(0, RAO_LIMIT), st.integers(0, RAO_LIMIT))
def test_a_number_has_a_limit(value: int, limit: int) -> None:
    if value <= limit:
        assert as_natural(value, "a", limit) == value
    else:
        assert refusal(lambda: as_natural(value, "a", limit)).endswith(f"from 0 to {limit}")


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", RAO_LIMIT + 1])
def test_what_is_no_natural_number_is_refused(value: Any) -> None:
    assert "a must be a whole number" in refusal(lambda: Parameters([value]).natural(0, "a"))


def test_an_account_is_an_address_with_the_right_checksum() -> None:
    assert Parameters([ACCOUNT]).account(0, "a") == ACCOUNT
    wrong = ACCOUNT[:-1] + ("1" if ACCOUNT[-1] != "1" else "2")
    assert "a is not an ss58 address" in refusal(lambda: Parameters([wrong]).account(0, "a"))


def test_texts_are_a_limited_list_of_strings() -> None:
    assert Parameters([["a", "b"]]).texts(0, "keys", 2) == ["a", "b"]
    assert "at most 1" in refusal(lambda: Parameters([["a", "b"]]).texts(0, "keys", 1))
    assert "list of strings" in refusal(lambda: Parameters([["a", 1]]).texts(0, "keys", 2))
    assert "list of strings" in refusal(lambda: Parameters(["ab"]).texts(0, "keys", 2))
