"""A user's signature survives the facilitator; a validator's covers its whole message."""

import hashlib
import json

import pytest

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol import links
from compute_horde.protocol.job import CheatReported, JobFailed, JobOffered, JobRequested
from compute_horde.uploads import FilePut, MultiUpload
from compute_horde.vocabulary import FailureReason, SignatureScope
from compute_horde.volumes import InlineVolume, MultiVolume
from tests.compute_horde.vectors import JOB, MINER, USER, VALIDATOR, VECTORS, compact

REQUESTS = VECTORS["job_request_signature_vectors"]
REPORTS = VECTORS["cheat_report_vectors"]


def requested(name: str, **changes: object) -> JobRequested:
    sent = REQUESTS[name]["relayed_V2JobRequest"] | changes
    return links.FACILITATOR_TO_VALIDATOR.decode(compact(sent))


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_signed_text_is_rebuilt_from_the_relayed_job(name):
    assert requested(name).signed_text() == REQUESTS[name]["signed_fields_json"]


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_digest_of_a_job_is_the_published_one(name):
    vector = REQUESTS[name]
    stamp = vector["timestamp_ns"].to_bytes(8, "big")
    hashed = stamp + signing.spaced_json(vector["signed_fields_json"])
    assert hashed.hex() == vector["hash_input_hex"]
    assert hashed[8:].decode() == vector["hash_input_after_timestamp_utf8"]
    digest = signing.request_digest(vector["signed_fields_json"], vector["timestamp_ns"])
    assert digest.hex() == vector["blake2b_512_digest_hex"]
    assert digest == hashlib.blake2b(hashed, digest_size=64).digest()


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_a_relayed_job_is_by_its_user(name):
    assert requested(name).verify() == REQUESTS[name]["signatory"] == USER.ss58_address


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("docker_image", "evil"),
        ("executor_class", "always_on.test"),
        ("args", []),
        ("env", {"A": "1", "B": "2"}),
        ("use_gpu", False),
        ("artifacts_dir", "/etc"),
        ("on_trusted_miner", True),
        ("download_time_limit", 11),
        ("execution_time_limit", 21),
        ("upload_time_limit", 11),
        ("streaming_start_time_limit", 6),
        ("streaming_details", {"public_key": "PEM"}),
        ("volume", None),
        ("output_upload", None),
    ],
)
def test_no_signed_field_can_be_changed_on_the_way(field, value):
    assert requested("full").model_dump(mode="json")[field] != value or field == "env"
    with pytest.raises(BadSignature):
        requested("full", **{field: value}).verify()


@pytest.mark.parametrize(
    "spoiled", [{"uuid": "6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}, {"job_namespace": "x"}]
)
def test_uuid_and_namespace_are_not_signed(spoiled):
    assert requested("full", **spoiled).verify() == USER.ss58_address


@pytest.mark.parametrize(
    "spoiled",
    [
        {"signature_type": "ethereum"},
        {"signature_type": ""},
        {"signatory": VALIDATOR.ss58_address},
        {"signatory": ""},
        {"timestamp_ns": 1},
        {"signature": ""},
        {"signature": "AAAA"},
        {"signature": "not base64"},
        {"signature": "ł" * 88},
    ],
    ids=lambda spoiled: next(iter(spoiled)),
)
def test_a_spoiled_signature_is_a_bad_signature(spoiled):
    signature = REQUESTS["full"]["relayed_V2JobRequest"]["signature"] | spoiled
    with pytest.raises(BadSignature):
        requested("full", signature=signature).verify()


def test_an_unsigned_job_is_nobodys():
    with pytest.raises(BadSignature, match="Signature is empty"):
        requested("full", signature=None).verify()


def test_a_single_volume_and_upload_are_signed_as_lists_of_one():
    volume = InlineVolume(contents="UEs=")
    upload = FilePut(url="https://x/p", relative_path="f")
    one = requested("minimal_trusted").model_copy(
        update={"volume": volume, "output_upload": upload}
    )
    many = one.model_copy(
        update={
            "volume": MultiVolume(volumes=[volume]),
            "output_upload": MultiUpload(uploads=[upload]),
        }
    )
    assert one.signed_text() == many.signed_text()
    assert json.loads(one.signed_text())["volumes"] == [volume.model_dump(mode="json")]


def test_our_own_signature_is_one_that_we_accept():
    unsigned = requested("full", signature=None)
    signature = signing.sign_request(
        USER, unsigned.signed_text(), timestamp_ns=7, scope=SignatureScope.SIGNED_FIELDS
    )
    assert unsigned.model_copy(update={"signature": signature}).verify() == USER.ss58_address


@pytest.mark.parametrize("vector", REPORTS, ids=["details", "no details"])
def test_a_cheat_report_as_the_facilitator_relays_it_is_by_its_user(vector):
    wire = compact(vector["facilitator_wire_message_exclude_none"])
    assert links.FACILITATOR_TO_VALIDATOR.decode(wire).verify() == USER.ss58_address


@pytest.mark.parametrize("vector", REPORTS, ids=["details", "no details"])
def test_a_cheat_report_signed_as_the_published_validator_expects_is_accepted_too(vector):
    signature = signing.sign_request(
        USER, vector["body"], timestamp_ns=7, scope=SignatureScope.FULL_REQUEST
    )
    report = CheatReported(signature=signature, **vector["body"])
    assert report.verify() == USER.ss58_address


@pytest.mark.parametrize("vector", REPORTS, ids=["details", "no details"])
def test_the_digest_of_a_cheat_report_is_the_published_one(vector):
    text, plain = signing.cheat_report_payloads(vector["body"])
    assert text == vector["signed_string"]
    assert plain == vector["body"]
    stamp = bytes.fromhex(vector["hash_input_hex"])[:8]
    assert (stamp + signing.spaced_json(text)).hex() == vector["hash_input_hex"]


@pytest.mark.parametrize("change", [{"details": "other"}, {"signature": None}])
def test_a_changed_or_unsigned_cheat_report_is_refused(change):
    report = CheatReported(**(REPORTS[0]["facilitator_wire_message_exclude_none"] | change))
    with pytest.raises(BadSignature):
        report.verify()


def test_what_a_validator_signs_verifies_on_the_frame_it_sends():
    vector = VECTORS["validator_signed_message_vectors"][0]
    offered = JobOffered.model_validate_json(vector["wire"])
    frame = offered.model_copy(update={"validator_signature": None}).signed(VALIDATOR).encode()
    assert signing.verify_validator_frame(frame, VALIDATOR.ss58_address)
    assert next(iter(json.loads(frame))) == "validator_signature"


def test_the_address_of_a_streaming_job_is_signed_by_its_miner():
    vector = VECTORS["streaming_ready_signature_vector"]
    ready = links.MINER_TO_VALIDATOR.decode(compact(vector["message"]))
    assert ready.blob().decode() == vector["blob_utf8"]
    signing.verify_hex(MINER.ss58_address, ready.blob(), ready.miner_signature)


def test_an_old_failure_report_is_read_and_today_s_words_win():
    old = {
        "message_type": "V0JobFailedRequest",
        "job_uuid": JOB,
        "error_detail": "old",
        "error_type": "timeout",
    }
    received = links.MINER_TO_VALIDATOR.decode(compact(old))
    assert received == JobFailed(job_uuid=JOB, message="old", reason=FailureReason.TIMEOUT)
    assert links.MINER_TO_VALIDATOR.decode(compact(old | {"message": "new"})).message == "new"
