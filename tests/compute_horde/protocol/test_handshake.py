"""Logins are signed over exactly the published bytes."""

import pytest

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol import links
from compute_horde.protocol.handshake import FacilitatorLogin, Problem, Response, ValidatorAuth
from tests.compute_horde.vectors import MINER, USER, VALIDATOR, VECTORS, compact

AUTH = VECTORS["validator_auth_for_miner_vector"]
LOGIN = VECTORS["facilitator_auth_vector"]


def test_a_published_introduction_to_a_miner_verifies():
    auth = links.VALIDATOR_TO_MINER.decode(compact(AUTH["message"]))
    assert auth.blob().decode() == AUTH["blob_utf8"]
    assert auth.blob().hex() == AUTH["blob_hex"]
    signing.verify_hex(auth.validator_hotkey, auth.blob(), auth.signature)


@pytest.mark.parametrize("transcript", ["ok", "fail", "reconnect"])
def test_introductions_recorded_live_verify(transcript):
    sent = [
        event["msg"]
        for event in VECTORS["live_transcripts"][transcript]
        if event.get("msg", {}).get("message_type") == "ValidatorAuthForMiner"
    ]
    assert sent
    for auth in map(ValidatorAuth.model_validate, sent):
        signing.verify_hex(VALIDATOR.ss58_address, auth.blob(), auth.signature)


def test_our_introduction_verifies_and_names_one_miner():
    auth = ValidatorAuth.signed(VALIDATOR, MINER.ss58_address, 1767225600)
    signing.verify_hex(VALIDATOR.ss58_address, auth.blob(), auth.signature)
    other = auth.model_copy(update={"miner_hotkey": USER.ss58_address})
    with pytest.raises(BadSignature):
        signing.verify_hex(VALIDATOR.ss58_address, other.blob(), auth.signature)


def test_a_published_login_at_the_facilitator_verifies():
    login = links.VALIDATOR_TO_FACILITATOR.decode(compact(LOGIN["message"]))
    assert login.key().hex() == LOGIN["signed_bytes_hex"]
    assert login.verify() == LOGIN["ss58"]


def test_our_login_is_the_published_one_but_for_its_random_signature():
    login = FacilitatorLogin.signed(VALIDATOR)
    assert login.public_key == LOGIN["message"]["public_key"]
    assert login.verify() == VALIDATOR.ss58_address


@pytest.mark.parametrize("key", ["", "zz", "ab", "ab" * 33, "ł" * 64, MINER.public_key.hex()])
def test_a_login_with_another_or_no_key_is_refused(key):
    with pytest.raises(BadSignature):
        FacilitatorLogin(public_key=key, signature=LOGIN["message"]["signature"]).verify()


def test_a_refusal_has_the_published_form():
    refusal = Response.refusal("auth.not_authenticated", "Not authenticated", help="Log in first")
    assert refusal == Response(
        status="error",
        errors=[
            Problem(msg="Not authenticated", type="auth.not_authenticated", help="Log in first")
        ],
    )


def test_the_answer_to_a_challenge_is_by_its_validator_and_every_part_of_it_is_signed():
    login = FacilitatorLogin.answering(VALIDATOR, "ab" * 32, audience="f.example", timestamp=7)
    assert login.verify() == VALIDATOR.ss58_address
    for part, value in {"nonce": "cd", "audience": "evil.example", "timestamp": 8}.items():
        changed = login.challenge.model_copy(update={part: value})
        with pytest.raises(BadSignature):
            login.model_copy(update={"challenge": changed}).verify()
    with pytest.raises(BadSignature):
        login.model_copy(update={"challenge": None}).verify()


def test_the_published_login_has_no_key_that_published_facilitators_refuse():
    assert "challenge" not in FacilitatorLogin.signed(VALIDATOR).encode()
