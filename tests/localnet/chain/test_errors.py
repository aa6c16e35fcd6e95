"""An RPC error as the member of a response."""

from localnet.chain.errors import INVALID_PARAMS, REFUSED, RpcError


def test_an_error_has_code_and_message() -> None:
    error = RpcError(INVALID_PARAMS, "no")
    assert error.as_json() == {"code": -32602, "message": "no"}
    assert str(error) == "no"


def test_data_is_there_if_given_even_if_it_is_empty() -> None:
    assert RpcError(REFUSED, "no", "").as_json() == {"code": 2000, "message": "no", "data": ""}
