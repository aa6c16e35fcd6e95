"""Which jobs are taken and who gets them."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.errors import HordeError, RejectionError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import StreamingDetails, StreamingReady
from compute_horde.protocol.proof import StreamingProof
from compute_horde.signing import signed_hex
from compute_horde.vocabulary import HordeReason, JobState, RejectionReason
from compute_horde.volumes import SingleFileVolume
from tests.validator.peers import MINER, STRANGER, USER, VALIDATOR, request
from validator.jobs import rules
from validator.jobs.rules import Seat, Wish

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
    patience = rules.Patience(timedelta(seconds=7), timedelta(seconds=5), timedelta(seconds=4))
    budget = rules.budget(request(), patience)
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


def wish(**fields) -> Wish:
    return Wish("job", CLASS, **fields)


def test_the_least_busy_share_is_asked_first() -> None:
    seats = [Seat("half", 2, 1), Seat("quarter", 4, 1), Seat("most", 10, 9), Seat("idle", 1, 0)]
    assert rules.ranked(wish(), seats) == ["idle", "quarter", "half", "most"]


@pytest.mark.parametrize(
    "seat",
    [
        Seat("m", 0, 0),
        Seat("m", 2, 2),
        Seat("m", 2, 0, reachable=False),
        Seat("m", 2, 0, resting=True),
    ],
)
def test_a_miner_without_a_free_executor_is_not_asked(seat: Seat) -> None:
    assert rules.ranked(wish(), [seat]) == []


def test_ties_are_drawn_by_lot_and_the_lot_is_fair() -> None:
    seats = [Seat(name, 4, 0) for name in "abcd"]
    firsts = [rules.ranked(Wish(f"job-{n}", CLASS), seats)[0] for n in range(400)]
    assert all(70 <= firsts.count(name) <= 130 for name in "abcd")
    assert rules.ranked(wish(), seats) == rules.ranked(wish(), reversed(seats))


def test_a_wanted_miner_and_no_other_is_asked() -> None:
    seats = [Seat("a", 4, 0), Seat("b", 4, 3)]
    assert rules.ranked(wish(miner="b"), seats) == ["b"]
    assert rules.ranked(wish(shunned=frozenset("a")), seats) == ["b"]


def test_the_trusted_miner_gets_only_what_is_meant_for_it() -> None:
    seats = [Seat(TRUSTED_MINER_HOTKEY, 4, 0), Seat("a", 4, 3)]
    assert rules.ranked(wish(), seats) == ["a"]
    assert rules.ranked(wish(miner=TRUSTED_MINER_HOTKEY), seats) == [TRUSTED_MINER_HOTKEY]


def test_why_no_miner_took_a_job() -> None:
    busy, absent, away = Seat("a", 1, 1), Seat("a", 0, 0), Seat("a", 1, 0, reachable=False)
    assert rules.why_none(wish(), [busy]) == rules.ALL_BUSY
    assert rules.why_none(wish(), [absent]) == rules.NO_MINER
    assert rules.why_none(wish(miner=TRUSTED_MINER_HOTKEY), []) == rules.NO_TRUSTED_MINER
    assert rules.out_of_reach(wish(), [away])
    assert not rules.out_of_reach(wish(), [away, busy])
    assert not rules.out_of_reach(wish(), [])


def test_a_path_that_every_miner_would_refuse_is_refused_before_any_is_asked() -> None:
    volume = SingleFileVolume(url="https://x.example/x", relative_path="../x")
    job = signed_at(NOW, volume=volume)
    with pytest.raises(RejectionError, match=r"Unsafe volume: '\.\./x'") as caught:
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
    """What its miner says of a job that serves."""
    said = StreamingReady(job_uuid=job.uuid, public_key="CERT", ip="203.0.113.7", port=6006)
    signed = said.model_copy(update={"miner_signature": signed_hex(MINER, said.blob())})
    return signed.model_copy(update=changes)


def test_the_validator_vouches_for_where_a_miner_says_a_job_serves() -> None:
    job = request(streaming_details=STREAMING)
    said = ready(job, proof=StreamingProof(miner_hotkey="x", validator_signature="y"))
    vouched = rules.vouched(said, job, MINER.ss58_address, VALIDATOR)
    assert vouched.proof
    vouched.proof.verify(VALIDATOR.ss58_address, said.where())
    assert vouched.model_copy(update={"proof": None}) == said.model_copy(update={"proof": None})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"miner_signature": None}, "did not sign"),
        ({"miner_signature": "0x" + "0" * 128}, "signature"),
        ({"port": 6007}, "signature"),
        ({"public_key": "OTHER"}, "signature"),
        ({"ip": None}, "did not say where"),
    ],
)
def test_a_miner_that_does_not_stand_by_its_word_fails_the_job(change: dict, named: str) -> None:
    job = request(streaming_details=STREAMING)
    with pytest.raises(HordeError, match=named) as caught:
        rules.vouched(ready(job, **change), job, MINER.ss58_address, VALIDATOR)
    assert caught.value.reason is HordeReason.STREAMING_FAILED


def test_a_job_that_is_none_to_be_served_is_not() -> None:
    job = request()
    with pytest.raises(HordeError, match="none to be served"):
        rules.vouched(ready(job), job, MINER.ss58_address, VALIDATOR)


def test_a_trusted_miner_has_no_hotkey_to_sign_with() -> None:
    job = request(streaming_details=STREAMING)
    said = ready(job, miner_signature=None)
    assert rules.vouched(said, job, TRUSTED_MINER_HOTKEY, VALIDATOR).proof
