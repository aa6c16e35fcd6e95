"""Messages beyond the published protocol: signatures, offsets, and compatibility with others."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from bittensor_core import Keypair

from compute_horde.errors import BadSignature
from compute_horde.protocol import extensions
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.extensions import CancelRequested, JobCancelled, OutputPrinted
from compute_horde.protocol.handshake import Response, ValidatorAuth
from compute_horde.protocol.job import JobAccepted
from compute_horde.protocol.message import Message
from compute_horde.signing import sign_request
from compute_horde.vocabulary import Extension, Party, SignatureScope, Stream

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


def test_only_who_announced_an_extension_understands_its_messages():
    uuid = str(uuid4())
    cancelled = JobCancelled(job_uuid=uuid, reported_by=Party.EXECUTOR)
    assert extensions.understood(cancelled, frozenset({Extension.CANCEL}))
    assert not extensions.understood(cancelled, frozenset({Extension.OUTPUT}))
    assert extensions.understood(JobAccepted(job_uuid=uuid), frozenset())


def test_every_message_of_this_module_needs_an_extension():
    ours = {
        kind
        for kind in vars(extensions).values()
        if isinstance(kind, type)
        and issubclass(kind, Message)
        and kind.__module__ == extensions.__name__
    }
    assert ours == extensions.NEEDED.keys()


def test_peers_are_answered_in_kind():
    assert extensions.in_kind(["telepathy"]) == tuple(Extension)
    assert extensions.in_kind([]) == extensions.in_kind("") == ()


def test_words_of_newer_peers_are_left_out():
    assert extensions.announced(["output", "telepathy"]) == {Extension.OUTPUT}
    assert extensions.in_header("cancel, output,,x") == {Extension.CANCEL, Extension.OUTPUT}
