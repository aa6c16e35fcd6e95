"""What is said beyond the published protocol: signed, counted, and silent towards others."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from bittensor_core import Keypair

from compute_horde.errors import BadSignature
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import CancelRequested, OutputPrinted
from compute_horde.protocol.handshake import Response, ValidatorAuth
from compute_horde.signing import sign_request
from compute_horde.vocabulary import Extension, SignatureScope, Stream

GOLDEN = Path(__file__).parent / "golden"
OWNER, STRANGER = (Keypair.create_from_uri(uri) for uri in ("//Charlie", "//Eve"))


def asked_by(signer: Keypair, uuid: str, *, for_uuid: str | None = None) -> CancelRequested:
    signature = sign_request(
        signer,
        extensions.cancel_text(for_uuid or uuid),
        timestamp_ns=1,
        scope=SignatureScope.FULL_REQUEST,
    )
    return CancelRequested(signature=signature, job_uuid=uuid)


def test_a_job_is_cancelled_by_its_owner_alone():
    uuid = str(uuid4())
    extensions.check_cancel(asked_by(OWNER, uuid), OWNER.ss58_address)
    for wrong in (asked_by(STRANGER, uuid), asked_by(OWNER, uuid, for_uuid=str(uuid4()))):
        with pytest.raises(BadSignature):
            extensions.check_cancel(wrong, OWNER.ss58_address)


def test_a_piece_of_output_ends_where_the_next_begins_in_bytes():
    piece = OutputPrinted(job_uuid=str(uuid4()), offset=10, stream=Stream.STDOUT, text="é\n")
    assert piece.end == 13


@pytest.mark.parametrize(
    "message",
    [
        Manifest(manifest={}),
        Response(status="success"),
        ValidatorAuth(validator_hotkey="v", miner_hotkey="m", timestamp=1, signature="0x"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_who_announces_nothing_says_nothing_new(message):
    assert "extensions" not in json.loads(message.encode())
    speaking = message.model_copy(update={"extensions": ("output",)})
    assert json.loads(speaking.encode())["extensions"] == ["output"]
    assert type(message).model_validate_json(speaking.encode()) == speaking


def test_words_of_newer_peers_are_left_out():
    assert extensions.announced(["output", "telepathy"]) == {Extension.OUTPUT}
    assert extensions.in_header("cancel, output,,x") == {Extension.CANCEL, Extension.OUTPUT}
