"""Canonical forms are the published bytes; a hostile signature is bad, never a crash."""

import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_horde import signing
from compute_horde.errors import BadSignature, ProtocolError
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import SignatureScope
from tests.compute_horde.vectors import MINER, USER, VALIDATOR, VECTORS

SIGNED = VECTORS["validator_signed_message_vectors"]
ALICE = VALIDATOR.ss58_address
GOOD = signing.signed_hex(VALIDATOR, b"x")

hostile_text = (
    st.text(st.characters(), max_size=150)
    | st.sampled_from(
        ["\ud800", "0" * 48, ALICE, GOOD, GOOD.upper(), GOOD + " ", "0x", "0x" + "ab " * 43]
    )
    | st.text("0123456789abcdef", min_size=128, max_size=128).map("0x".__add__)
    | st.binary(max_size=70).map(lambda raw: base64.b64encode(raw).decode())
)


def test_colon_text_joins_with_colons():
    assert signing.colon_text("a", 1, None) == b"a:1:None"


def test_the_two_sorted_forms_differ_in_their_spaces_only():
    value = {"b": [1, 2.5], "a": "ż"}
    assert signing.spaced_json(value) == b'{"a": "\\u017c", "b": [1, 2.5]}'
    assert signing.compact_json(value) == b'{"a":"\\u017c","b":[1,2.5]}'


def test_raw_bytes_are_hashed_as_they_are():
    assert signing.request_digest(b'"a"', 1) == signing.request_digest("a", 1)
    assert signing.request_digest(b"a", 1) != signing.request_digest("a", 1)


@pytest.mark.parametrize("vector", SIGNED, ids=["offer", "payload"])
def test_a_frame_signed_by_a_published_validator_verifies(vector):
    sent = json.loads(vector["wire"])
    assert signing.validator_signed_text(sent).hex() == vector["canonical_json_hex"]
    assert signing.verify_validator_frame(vector["wire"], vector["validator_hotkey"])
    assert signing.verify_validator_frame(vector["wire"].encode(), vector["validator_hotkey"])


@pytest.mark.parametrize("transcript", ["ok", "fail", "reconnect"])
def test_frames_signed_live_verify(transcript):
    events = VECTORS["live_transcripts"][transcript]
    signed = [e["msg"] for e in events if "validator_signature" in e.get("msg", {})]
    assert len(signed) == 2
    for sent in signed:
        assert signing.verify_validator_frame(json.dumps(sent), ALICE)


def test_a_key_that_we_do_not_know_is_covered_by_the_signature():
    sent = json.loads(SIGNED[1]["wire"])
    with pytest.raises(BadSignature):
        signing.verify_validator_frame(json.dumps(sent | {"added": 1}), ALICE)
    odd = {"message_type": "V9", "added": [float("nan"), 1e400, "\ud800ż"], "a": {"c": 1, "b": 2}}
    odd["validator_signature"] = signing.signed_hex(VALIDATOR, signing.validator_signed_text(odd))
    assert signing.verify_validator_frame(json.dumps(odd), ALICE)


def test_the_last_of_equal_keys_is_the_signed_one():
    wire = SIGNED[1]["wire"]
    assert signing.verify_validator_frame('{"job_uuid":"x",' + wire[1:], ALICE)
    with pytest.raises(BadSignature):
        signing.verify_validator_frame(wire[:-1] + ',"job_uuid":"x"}', ALICE)


@pytest.mark.parametrize("frame", ["{}", '{"validator_signature":null}', '{"a":1}'])
def test_a_frame_without_a_signature_is_unsigned(frame):
    assert signing.verify_validator_frame(frame, ALICE) is False


@pytest.mark.parametrize("signature", ["", "0x", 5, [], {}, True, GOOD], ids=repr)
def test_a_frame_with_a_wrong_signature_is_refused(signature):
    with pytest.raises(BadSignature):
        signing.verify_validator_frame(json.dumps({"validator_signature": signature}), ALICE)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "[]",
        "null",
        '"\ud800"',
        b"\xff",
        b'{\x00"\x00a\x00"\x00:\x001\x00}\x00',
        '{"x":' * 3000 + "1" + "}" * 3000,
        '{"x":' + "9" * 5000 + "}",
        '{"validator_signature":"0x","x":' + "[" * 800 + "]" * 800 + "}",
    ],
    ids=[
        "empty",
        "word",
        "list",
        "null",
        "surrogate",
        "not UTF-8",
        "UTF-16",
        "deep",
        "long number",
        "deeper",
    ],
)
def test_a_frame_that_is_no_json_object_is_malformed(frame):
    with pytest.raises(ProtocolError):
        signing.verify_validator_frame(frame, ALICE)


def test_no_depth_is_read_but_not_written_again():
    for depth in range(600, 1000):
        frame = '{"validator_signature":"0x","x":' + "[" * depth + "]" * depth + "}"
        with pytest.raises(ProtocolError):
            signing.verify_validator_frame(frame, ALICE)


@pytest.mark.parametrize(
    "other",
    [
        GOOD[2:],
        "0X" + GOOD[2:],
        GOOD + " ",
        GOOD + "\n",
        GOOD[:3] + " " + GOOD[3:],
        "0x" + "zz" * 64,
    ],
    ids=["no prefix", "upper prefix", "space", "newline", "space inside", "no digits"],
)
def test_a_signature_in_text_has_one_form(other):
    signing.verify_hex(ALICE, b"x", GOOD)
    with pytest.raises(BadSignature, match="128 hexadecimal digits"):
        signing.verify_hex(ALICE, b"x", other)


def test_another_hotkey_did_not_sign():
    with pytest.raises(BadSignature):
        signing.verify_validator_frame(SIGNED[0]["wire"], MINER.ss58_address)


def test_a_login_at_the_facilitator_api_is_by_its_user():
    vector = VECTORS["login_vector"]
    blob = bytes.fromhex(vector["message_hex"])
    assert blob.decode() == vector["nonce"]
    signing.verify_hex(vector["hotkey"], blob, "0x" + vector["signature"])


HEADERS = [
    request for request in VECTORS["sdk_http_requests"] if "x-ch-signature" in request["headers"]
]
TEXTS = {
    vector["signature_b64"]: vector["signed_fields_json"]
    for vector in VECTORS["job_request_signature_vectors"].values()
}


@pytest.mark.parametrize("request_", HEADERS, ids=lambda request: request["path"])
def test_the_headers_of_a_published_request_are_by_its_user(request_):
    sent = request_["headers"]
    signature = RequestSignature(
        signature_type=sent["x-ch-signature-type"],
        signatory=sent["x-ch-signatory"],
        timestamp_ns=sent["x-ch-timestamp-ns"],
        signature=sent["x-ch-signature"],
        signature_scope=sent["x-ch-signature-scope"],
    )
    whole = signing.spaced_json(request_["body"]).decode()
    full = signature.signature_scope is SignatureScope.FULL_REQUEST
    text = whole if full else TEXTS[signature.signature]
    assert signing.verify_request(signature, text, signature.signature_scope) is None
    with pytest.raises(BadSignature):
        signing.verify_request(signature, text + " ", signature.signature_scope)


def test_the_header_of_the_stats_collector_is_by_its_validator():
    vector = VECTORS["stats_collector_vector"]
    stamp = int(vector["headers"]["Validator-Signing-Timestamp"])
    blob = signing.spaced_json({"validator_ss58_address": ALICE, "signing_timestamp": stamp})
    assert blob.decode() == vector["to_sign_utf8"]
    signing.verify_hex(ALICE, blob, vector["headers"]["Validator-Signature"])


def test_what_a_browser_s_wallet_wraps_in_bytes_tags_counts_as_signed():
    wrapped = bytes(VALIDATOR.sign(b"<Bytes>abc</Bytes>"))
    assert signing.verify(ALICE, b"abc", wrapped) is None
    with pytest.raises(BadSignature):
        signing.verify(ALICE, b"abd", wrapped)


def test_an_address_and_its_key_name_each_other():
    for role in VECTORS["roles"].values():
        assert signing.public_key(role["ss58"]).hex() == role["public_key_hex"]
        assert signing.address(bytes.fromhex(role["public_key_hex"])) == role["ss58"]


@given(st.sampled_from([ALICE, USER.ss58_address]) | hostile_text, hostile_text)
@settings(max_examples=300)
def test_a_hostile_signature_in_text_is_a_bad_signature(hotkey, signature):
    with pytest.raises(BadSignature):
        signing.verify_hex(hotkey, b"never signed", signature)


@given(hostile_text, hostile_text, hostile_text)
@settings(max_examples=200)
def test_a_hostile_request_signature_is_a_bad_signature(kind, signatory, signature):
    hostile = RequestSignature.model_construct(
        signature_type=kind if kind < "m" else "bittensor",
        signatory=signatory,
        timestamp_ns=1,
        signature=signature,
    )
    with pytest.raises(BadSignature):
        signing.verify_request(hostile, "never signed", SignatureScope.SIGNED_FIELDS)


def test_a_long_address_is_refused_without_reading_it():
    begun = time.process_time()
    with pytest.raises(BadSignature):
        signing.public_key("5" * 200_000)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "address", ["", "5", "\ud800", "0x" + "ab" * 32, ALICE + " ", ALICE[:-1] + "1"]
)
def test_what_is_no_address_has_no_key(address):
    with pytest.raises(BadSignature, match="not an SS58 address"):
        signing.public_key(address)


ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has 0 characters"),
        (ALICE[:-1], "has 47 characters"),
        (ALICE[:-1] + "0", "holds '0'"),
        (ALICE + "\n", r"holds '\n'"),
        (ALICE[:10] + ALICE[11] + ALICE[10] + ALICE[12:], "wrong checksum"),
        ("4" + ALICE[1:], "another network"),
    ],
)
def test_an_address_that_is_none_is_told_what_is_wrong(text, why):
    assert signing.address_problem(ALICE) is None
    assert why in signing.address_problem(text)
