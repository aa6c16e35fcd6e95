"""Which jobs are accepted, and how long each state may last."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde import faults
from compute_horde.errors import HordeError, RejectionError
from compute_horde.faults import Cause
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import StreamingDetails, StreamingReady
from compute_horde.protocol.streaming_proof import StreamingProof
from compute_horde.signing import signed_hex
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason
from compute_horde.volumes import SingleFileVolume
from tests.peers.keys import MINER, STRANGER, USER, VALIDATOR
from tests.peers.user import request
from validator.jobs import rules

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ALLOWED = {USER.ss58_address}
CLASS = ExecutorClass.always_on__test


def signed_at(moment: datetime, **fields):
    return request(timestamp_ns=int(moment.timestamp() * 10**9), **fields)


def refusal(job) -> str:
    with pytest.raises(RejectionError) as caught:
        rules.check_request(job, allowed=ALLOWED, now=NOW, max_age=timedelta(minutes=5))
    assert caught.value.reason is RejectionReason.INVALID_SIGNATURE
    return str(caught.value)


@pytest.mark.parametrize("seconds", [0, 299, -299])
def test_a_fresh_signature_of_somebody_we_serve_is_good(seconds: int) -> None:
    job = signed_at(NOW - timedelta(seconds=seconds))
    rules.check_request(job, allowed=ALLOWED, now=NOW, max_age=timedelta(minutes=5))


def test_an_unsigned_request_is_refused_in_the_published_words() -> None:
    assert refusal(request(signer=None)) == "Signature is empty"


def test_a_stranger_is_refused_by_name() -> None:
    job = signed_at(NOW, signer=STRANGER)
    expected = f"Signatory {STRANGER.ss58_address} is not in validator whitelist"
    assert refusal(job) == expected


def test_a_signer_the_facilitator_alone_knows_is_told_whom_to_ask() -> None:
    with pytest.raises(RejectionError) as caught:
        rules.check_request(
            signed_at(NOW, signer=STRANGER), allowed=set(), now=NOW, max_age=timedelta(hours=1)
        )
    fault = faults.of_rejection(caught.value.reason, Party.VALIDATOR, caught.value.context)
    assert fault is faults.CAUSES[Cause.SIGNER_NOT_ALLOWED]
    assert fault is not faults.of_rejection(caught.value.reason, Party.VALIDATOR)
    assert "this validator does not serve it" in fault.advice


@pytest.mark.parametrize(
    "change",
    [
        {"docker_image": "evil"},
        {"args": ["rm"]},
        {"env": {"A": "B"}},
        {"execution_time_limit": 9999},
        {"on_trusted_miner": True},
        {"artifacts_dir": "/elsewhere"},
    ],
)
def test_a_changed_job_is_refused(change: dict) -> None:
    assert refusal(signed_at(NOW).model_copy(update=change)) == "Bad signature"


@pytest.mark.parametrize("seconds", [301, -301, 10**6])
def test_an_old_or_future_signature_is_refused(seconds: int) -> None:
    assert "too old" in refusal(signed_at(NOW - timedelta(seconds=seconds)))


def test_the_digest_ignores_the_uuid_but_not_the_signature() -> None:
    job = signed_at(NOW)
    again = job.model_copy(update={"uuid": request().uuid})
    assert rules.request_digest(job.signature) == rules.request_digest(again.signature)
    assert rules.request_digest(job.signature) != rules.request_digest(signed_at(NOW).signature)


def test_the_digest_does_not_depend_on_how_base64_is_spelled() -> None:
    signature = signed_at(NOW).signature
    raw = base64.b64decode(signature.signature)
    spelled = signature.model_copy(update={"signature": base64.b64encode(raw).decode() + "\n"})
    assert rules.request_digest(signature) == rules.request_digest(spelled)


def test_the_budget_follows_the_request_and_the_class() -> None:
    timing = rules.ValidatorTiming(timedelta(seconds=7), timedelta(seconds=5), timedelta(seconds=4))
    budget = rules.budget(request(), timing)
    seconds = {
        state: budget.allowed_in(state).total_seconds()
        for state in (
            JobState.RECEIVED,
            JobState.ACCEPTED,
            JobState.EXECUTOR_READY,
            JobState.VOLUMES_READY,
            JobState.EXECUTION_DONE,
        )
    }
    assert list(seconds.values()) == [7, 3 + 5, 4 + 5, 10, 5]


def test_a_path_that_every_miner_would_refuse_is_refused_before_any_is_asked() -> None:
    volume = SingleFileVolume(url="https://x.example/x", relative_path="../x")
    job = signed_at(NOW, volume=volume)
    with pytest.raises(RejectionError, match=r"Unsafe volume: '\.\./x'") as caught:
        rules.check_request(job, allowed=ALLOWED, now=NOW, max_age=timedelta(minutes=5))
    assert caught.value.reason is RejectionReason.UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["x" * 131_072]},
        {"env": {str(n): "" for n in range(4097)}},
        {"artifacts_dir": "/" + "x" * 4095},
    ],
)
def test_what_no_engine_may_be_given_is_refused_before_any_miner_is_asked(changes) -> None:
    job = signed_at(NOW, **changes)
    with pytest.raises(RejectionError, match="Too much for a container engine") as caught:
        rules.check_request(job, allowed=ALLOWED, now=NOW, max_age=timedelta(minutes=5))
    assert caught.value.reason is RejectionReason.UNKNOWN


STREAMING = StreamingDetails(public_key="PEM")


def test_users_are_let_only_into_images_on_the_list() -> None:
    served = request(streaming_details=STREAMING, docker_image="org/llm:v1")
    rules.check_streaming(served, ["org/llm"])
    rules.check_streaming(request(), [])
    with pytest.raises(RejectionError, match="allows no streaming jobs of image 'org/llm:v1'"):
        rules.check_streaming(served, [])


def ready(job, **changes) -> StreamingReady:
    """A miner's message that a streaming job is ready."""
    reported = StreamingReady(job_uuid=job.uuid, public_key="CERT", ip="203.0.113.7", port=6006)
    signed = reported.model_copy(update={"miner_signature": signed_hex(MINER, reported.blob())})
    return signed.model_copy(update=changes)


def test_the_validator_vouches_for_where_a_miner_says_a_job_serves() -> None:
    job = request(streaming_details=STREAMING)
    reported = ready(job, proof=StreamingProof(miner_hotkey="x", validator_signature="y"))
    proven = rules.with_streaming_proof(reported, job, MINER.ss58_address, VALIDATOR)
    assert proven.proof
    proven.proof.verify(VALIDATOR.ss58_address, reported.where())
    assert proven.model_copy(update={"proof": None}) == reported.model_copy(update={"proof": None})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"miner_signature": None}, "did not sign"),
        ({"miner_signature": "0x" + "0" * 128}, "signature"),
        ({"port": 6007}, "signature"),
        ({"public_key": "OTHER"}, "signature"),
        ({"ip": None}, "did not report"),
    ],
)
def test_a_miner_that_does_not_stand_by_its_word_fails_the_job(change: dict, named: str) -> None:
    job = request(streaming_details=STREAMING)
    with pytest.raises(HordeError, match=named) as caught:
        rules.with_streaming_proof(ready(job, **change), job, MINER.ss58_address, VALIDATOR)
    assert caught.value.reason is HordeReason.STREAMING_FAILED


def test_a_job_that_is_none_to_be_served_is_not() -> None:
    job = request()
    with pytest.raises(HordeError, match="does not stream"):
        rules.with_streaming_proof(ready(job), job, MINER.ss58_address, VALIDATOR)


def test_a_trusted_miner_has_no_hotkey_to_sign_with() -> None:
    job = request(streaming_details=STREAMING)
    reported = ready(job, miner_signature=None)
    assert rules.with_streaming_proof(reported, job, TRUSTED_MINER_HOTKEY, VALIDATOR).proof
