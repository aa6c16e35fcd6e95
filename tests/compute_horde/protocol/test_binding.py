"""A binding holds for one request, one validator, one namespace and one signer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.errors import BadSignature
from compute_horde.protocol.binding import NONCE_HEADER, SIGNATURE_HEADER, RequestBinding
from tests.compute_horde.vectors import MINER, USER, VALIDATOR

DIGEST = b"\x01" * 32
NONCES = st.from_regex("[A-Za-z0-9_-]{16,64}", fullmatch=True)
BOUND = RequestBinding.signed(
    USER,
    target_validator=VALIDATOR.ss58_address,
    nonce="nonce-0123456789",
    request_digest=DIGEST,
    job_namespace="SN12.0",
)


@given(NONCES, st.binary(max_size=64), st.none() | st.text(st.characters(exclude_categories="C")))
def test_what_was_signed_is_verified_and_survives_its_headers(nonce, digest, namespace):
    binding = RequestBinding.signed(
        USER,
        target_validator=VALIDATOR.ss58_address,
        nonce=nonce,
        request_digest=digest,
        job_namespace=namespace,
    )
    read = RequestBinding.in_headers(binding.headers(), VALIDATOR.ss58_address)
    assert read == binding
    read.verify(USER.ss58_address, digest, namespace)


@pytest.mark.parametrize(
    ("changes", "signatory", "digest", "namespace"),
    [
        ({"target_validator": MINER.ss58_address}, USER, DIGEST, "SN12.0"),
        ({"nonce": "nonce-0123456780"}, USER, DIGEST, "SN12.0"),
        ({"signature": "0x" + "0" * 128}, USER, DIGEST, "SN12.0"),
        ({}, MINER, DIGEST, "SN12.0"),
        ({}, USER, b"\x02" * 32, "SN12.0"),
        ({}, USER, DIGEST, None),
    ],
)
def test_whatever_is_exchanged_is_noticed(changes, signatory, digest, namespace):
    BOUND.verify(USER.ss58_address, DIGEST, "SN12.0")
    with pytest.raises(BadSignature):
        BOUND.model_copy(update=changes).verify(signatory.ss58_address, digest, namespace)


def test_a_request_without_a_binding_has_none():
    assert RequestBinding.in_headers({}, VALIDATOR.ss58_address) is None


@pytest.mark.parametrize(
    "headers",
    [
        {NONCE_HEADER: "short", SIGNATURE_HEADER: BOUND.signature},
        {NONCE_HEADER: "spaces are no good", SIGNATURE_HEADER: BOUND.signature},
        {NONCE_HEADER: BOUND.nonce + "\n", SIGNATURE_HEADER: BOUND.signature},
        {NONCE_HEADER: BOUND.nonce, SIGNATURE_HEADER: "0" * 257},
        {SIGNATURE_HEADER: BOUND.signature},
    ],
)
def test_malformed_headers_are_an_error(headers):
    with pytest.raises(ValueError, match="RequestBinding"):
        RequestBinding.in_headers(headers, VALIDATOR.ss58_address)


def test_a_nonce_alone_is_no_binding_that_anybody_signed():
    alone = RequestBinding.in_headers({NONCE_HEADER: BOUND.nonce}, VALIDATOR.ss58_address)
    with pytest.raises(BadSignature):
        alone.verify(USER.ss58_address, DIGEST, "SN12.0")
