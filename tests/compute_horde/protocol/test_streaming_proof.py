"""The address of a streaming job cannot be replaced on its way."""

import pytest
from bittensor_core import Keypair

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.streaming_proof import StreamingProof, check_miner

MINER, VALIDATOR, OTHER = (Keypair.create_from_uri(uri) for uri in ("//M", "//V", "//O"))
WHERE = ("3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11", "203.0.113.7", 6006, "PEM")
SIGNED = signing.signed_hex(MINER, b"3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c11:203.0.113.7:6006:PEM")
PROOF = StreamingProof.given(VALIDATOR, MINER.ss58_address, SIGNED, WHERE)


def test_the_word_of_both_is_enough():
    assert PROOF.verify(VALIDATOR.ss58_address, WHERE) is None


@pytest.mark.parametrize(
    "where",
    [
        ("3a0c1f5e-7d0b-4c56-9a53-2b6f0e9a1c12", *WHERE[1:]),
        (WHERE[0], "203.0.113.8", *WHERE[2:]),
        (*WHERE[:2], 6007, WHERE[3]),
        (*WHERE[:3], "OTHER"),
    ],
)
def test_another_place_is_noticed(where):
    with pytest.raises(BadSignature):
        PROOF.verify(VALIDATOR.ss58_address, where)


def test_another_validator_is_noticed():
    with pytest.raises(BadSignature):
        PROOF.verify(OTHER.ss58_address, WHERE)


def test_another_miner_cannot_take_its_place():
    signed = signing.signed_hex(OTHER, signing.colon_text(*WHERE))
    swapped = PROOF.model_copy(
        update={"miner_hotkey": OTHER.ss58_address, "miner_signature": signed}
    )
    with pytest.raises(BadSignature):
        swapped.verify(VALIDATOR.ss58_address, WHERE)


def test_a_miner_signs_or_is_not_believed():
    with pytest.raises(BadSignature, match="did not sign"):
        check_miner(MINER.ss58_address, None, WHERE)
    with pytest.raises(BadSignature):
        check_miner(OTHER.ss58_address, SIGNED, WHERE)


def test_a_trusted_miner_is_known_by_its_place():
    proof = StreamingProof.given(VALIDATOR, TRUSTED_MINER_HOTKEY, None, WHERE)
    assert proof.verify(VALIDATOR.ss58_address, WHERE) is None
