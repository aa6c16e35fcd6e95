"""Rules for accepting jobs, their time limits, and the columns of their rows."""

import json
from datetime import timedelta

import pytest

from compute_horde.errors import RejectionError
from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished, StreamingDetails
from compute_horde.uploads import FilePut
from compute_horde.vocabulary import HordeReason, Party, RejectionReason
from compute_horde.volumes import InlineVolume
from miner.jobs import rules
from miner.jobs.rules import JobPolicy
from tests.miner.conftest import MINER, VALIDATOR
from tests.miner.peers import ValidatorPeer

PEER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address)
HOTKEY = VALIDATOR.ss58_address
JOB = "5ec9b0e4-2a86-4f9b-8cf6-3c9e8ac8d1d7"
SECOND = timedelta(seconds=1)


def test_a_job_has_the_sum_of_its_limits():
    # Class 3, checks 5, leeway 5, download, streaming, execution, upload 1 each, grace 30.
    assert rules.time_to_live(PEER.offer(JOB), JobPolicy()) == 47 * SECOND


def test_a_job_with_one_limit_has_that():
    offer = PEER.offer(JOB, executor_timing=None, timeout_seconds=300)
    assert rules.time_to_live(offer, JobPolicy(grace=0 * SECOND)) == 308 * SECOND


def test_there_is_no_other_time_limit():
    long = PEER.offer(JOB).executor_timing.model_copy(update={"execution_time_limit": 30 * 86400})
    assert (
        rules.time_to_live(PEER.offer(JOB, executor_timing=long), JobPolicy()) > 30 * 86400 * SECOND
    )


def test_the_signature_covers_the_frame():
    raw = PEER.offer(JOB).encode()
    rules.check_signature(raw, HOTKEY, JobPolicy(require_signature=True))
    for bad in (raw.replace("busybox", "busybix"), raw[:-1] + ',"extra":0}'):
        with pytest.raises(RejectionError) as caught:
            rules.check_signature(bad, HOTKEY, JobPolicy())
        assert caught.value.reason is RejectionReason.INVALID_SIGNATURE


def test_an_extra_key_is_fine_when_it_was_signed():
    signed = PEER.offer(JOB).model_dump(mode="json") | {"new": [1.5, None]}
    signed["validator_signature"] = rules.signing.signed_hex(
        VALIDATOR, rules.signing.validator_signed_text(signed)
    )
    rules.check_signature(json.dumps(signed), HOTKEY, JobPolicy(require_signature=True))


def test_a_redacted_message_has_kinds_and_names_but_no_contents():
    payload = PEER.payload(
        JOB,
        env={"TOKEN": "hush"},
        docker_run_cmd=["a\0b"],
        volume=InlineVolume(contents="aHVzaA==", relative_path="in"),
        output_upload=FilePut(url="https://x/?key=hush", relative_path="out"),
    )
    text = rules.redacted(payload)
    assert "hush" not in text
    assert "aHVzaA" not in text
    assert "\0" not in text
    shown = json.loads(text)
    assert shown["env"] == ["TOKEN"]
    assert shown["docker_run_cmd"] == ["a\0b"]
    assert shown["volume"] == [["inline", "in"]]
    assert shown["output_upload"] == [["single_file_put", "out"]]


def test_the_job_of_an_invalid_offer_is_found():
    raw = json.dumps({"message_type": rules.OFFER, "job_uuid": JOB, "executor_class": "?"})
    assert rules.job_uuid_of(raw, rules.OFFER) == JOB
    assert rules.job_uuid_of(raw, rules.PAYLOAD) is None
    for nonsense in ("", "[]", "{", json.dumps({"message_type": rules.OFFER, "job_uuid": 1})):
        assert rules.job_uuid_of(nonsense, rules.OFFER) is None
    assert rules.job_uuid_of(raw.replace(JOB, "../x"), rules.OFFER) is None


def test_every_final_message_fills_its_columns():
    finished = JobFinished(job_uuid=JOB, docker_process_stdout="o\0", docker_process_stderr="e")
    assert rules.result_fields(finished) == {"exit_status": 0, "stdout": "o\ufffd", "stderr": "e"}
    failed = JobFailed(job_uuid=JOB, message="no", docker_process_exit_status=3)
    assert rules.result_fields(failed) == {
        "exit_status": 3,
        "stdout": "",
        "stderr": "",
        "error_type": "unknown",
        "error_detail": "no",
    }
    lost = HordeFailed(
        job_uuid=JOB,
        reported_by=Party.MINER,
        reason=HordeReason.EXECUTOR_DISCONNECTED,
        message="gone",
    )
    assert rules.result_fields(lost) == {
        "error_type": "executor_disconnected",
        "error_detail": "gone",
    }


@pytest.mark.parametrize("image", ["elsewhere", None])
def test_only_listed_images_may_serve_users(image):
    details = StreamingDetails(public_key="PEM")
    offer = PEER.offer(JOB, streaming_details=details, docker_image=image)
    with pytest.raises(RejectionError, match="serves no streaming jobs of image"):
        rules.check_streaming(offer, JobPolicy(streaming_images=("org/*",)))


def test_a_listed_image_may_serve_users():
    details = StreamingDetails(public_key="PEM")
    offer = PEER.offer(JOB, streaming_details=details, docker_image="org/llm:v1")
    rules.check_streaming(offer, JobPolicy(streaming_images=("org/*",)))
    rules.check_streaming(PEER.offer(JOB), JobPolicy())
