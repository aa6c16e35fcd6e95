"""What a job's server signs, and what it does not."""

import dataclasses

import pytest

from compute_horde import answers
from compute_horde.answers import SignedAnswer
from compute_horde.certificates import new_identity
from compute_horde.errors import BadSignature

SERVER = new_identity()
HASH = "ab" * 32
ANSWER = SignedAnswer("nonce", 1, 2, HASH, "cd" * 32)
HEADERS = ANSWER.headers(SERVER.private_key)


def test_the_text_is_one_line_of_colons():
    told = f"compute-horde-answer-v1:nonce:1:2:{HASH}:{'cd' * 32}"
    assert ANSWER.blob() == told.encode()


def test_a_signed_answer_is_read_back():
    assert SignedAnswer.verified(HEADERS, "nonce", SERVER.certificate) == ANSWER


@pytest.mark.parametrize("changed", ["from_ns", "to_ns"])
def test_a_moved_time_is_noticed(changed):
    name = {"from_ns": answers.FROM, "to_ns": answers.TO}[changed]
    with pytest.raises(BadSignature, match="not by the job's server"):
        SignedAnswer.verified(HEADERS | {name: "7"}, "nonce", SERVER.certificate)


@pytest.mark.parametrize("name", [answers.INPUT, answers.OUTPUT])
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
        (answers.FROM, "-1"),
        (answers.TO, "9" * 5000),
        (answers.INPUT, "xyz"),
        (answers.SIGNATURE, "not base64!"),
        (answers.SIGNATURE, ""),
    ],
)
def test_nonsense_is_a_bad_signature(name, value):
    with pytest.raises(BadSignature):
        SignedAnswer.verified(HEADERS | {name: value}, "nonce", SERVER.certificate)


def test_the_hashes_cover_the_first_line_and_the_body():
    digest = answers.input_digest("POST", "/a?b")
    digest.feed(b"bo")
    digest.feed(b"dy")
    same = answers.input_digest("POST", "/a?b")
    same.feed(b"body")
    assert digest.hexdigest() == same.hexdigest()
    assert digest.hexdigest() != answers.input_digest("GET", "/a?b").hexdigest()
    assert (
        answers.output_digest(200, "a").hexdigest() != answers.output_digest(201, "a").hexdigest()
    )


def test_every_field_is_signed():
    for field in dataclasses.fields(SignedAnswer):
        value = getattr(ANSWER, field.name)
        other = value + 1 if isinstance(value, int) else value + "0"
        assert dataclasses.replace(ANSWER, **{field.name: other}).blob() != ANSWER.blob()
