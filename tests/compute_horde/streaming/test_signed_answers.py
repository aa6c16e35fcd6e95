"""Signed answers of a job's server, and altered ones."""

import dataclasses

import pytest

from compute_horde.errors import BadSignature
from compute_horde.streaming import signed_answers
from compute_horde.streaming.certificates import new_identity
from compute_horde.streaming.signed_answers import SignedAnswer

SERVER = new_identity()
HASH = "ab" * 32
ANSWER = SignedAnswer("nonce", 1, 2, HASH, "cd" * 32)
HEADERS = ANSWER.headers(SERVER.private_key)


def test_the_text_is_one_line_of_colons():
    sent = f"compute-horde-answer-v1:nonce:1:2:{HASH}:{'cd' * 32}"
    assert ANSWER.blob() == sent.encode()


def test_a_signed_answer_is_read_back():
    assert SignedAnswer.verified(HEADERS, "nonce", SERVER.certificate) == ANSWER


@pytest.mark.parametrize("changed", ["from_ns", "to_ns"])
def test_a_moved_time_is_noticed(changed):
    name = {"from_ns": signed_answers.FROM, "to_ns": signed_answers.TO}[changed]
    with pytest.raises(BadSignature, match="not by the job's server"):
        SignedAnswer.verified(HEADERS | {name: "7"}, "nonce", SERVER.certificate)


@pytest.mark.parametrize("name", [signed_answers.INPUT, signed_answers.OUTPUT])
def test_another_hash_is_noticed(name):
    with pytest.raises(BadSignature, match="not by the job's server"):
        SignedAnswer.verified(HEADERS | {name: "0" * 64}, "nonce", SERVER.certificate)


def test_an_answer_to_another_challenge_is_noticed():
    with pytest.raises(BadSignature, match="not by the job's server"):
        SignedAnswer.verified(HEADERS, "another", SERVER.certificate)


def test_another_server_s_signature_is_noticed():
    with pytest.raises(BadSignature, match="not by the job's server"):
        SignedAnswer.verified(HEADERS, "nonce", new_identity().certificate)


@pytest.mark.parametrize("name", list(HEADERS))
def test_a_missing_header_is_named(name):
    left = {key: value for key, value in HEADERS.items() if key != name}
    with pytest.raises(BadSignature, match=name):
        SignedAnswer.verified(left, "nonce", SERVER.certificate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (signed_answers.FROM, "-1"),
        (signed_answers.TO, "9" * 5000),
        (signed_answers.INPUT, "xyz"),
        (signed_answers.SIGNATURE, "not base64!"),
        (signed_answers.SIGNATURE, ""),
    ],
)
def test_nonsense_is_a_bad_signature(name, value):
    with pytest.raises(BadSignature):
        SignedAnswer.verified(HEADERS | {name: value}, "nonce", SERVER.certificate)


def test_the_hashes_cover_the_first_line_and_the_body():
    digest = signed_answers.input_digest("POST", "/a?b")
    digest.feed(b"bo")
    digest.feed(b"dy")
    same = signed_answers.input_digest("POST", "/a?b")
    same.feed(b"body")
    assert digest.hexdigest() == same.hexdigest()
    assert digest.hexdigest() != signed_answers.input_digest("GET", "/a?b").hexdigest()
    assert (
        signed_answers.output_digest(200, "a").hexdigest()
        != signed_answers.output_digest(201, "a").hexdigest()
    )


def test_every_field_is_signed():
    for field in dataclasses.fields(SignedAnswer):
        value = getattr(ANSWER, field.name)
        other = value + 1 if isinstance(value, int) else value + "0"
        assert dataclasses.replace(ANSWER, **{field.name: other}).blob() != ANSWER.blob()
