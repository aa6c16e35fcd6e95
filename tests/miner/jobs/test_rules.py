"""What is accepted, how long it may take and what of it is kept."""

import json
from datetime import timedelta

import pytest

from compute_horde import lifecycle
from compute_horde.errors import BadSignature, RejectionError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished, StreamingDetails
from compute_horde.uploads import FilePut
from compute_horde.vocabulary import HordeReason, Party, RejectionReason
from compute_horde.volumes import InlineVolume
from miner.jobs import rules
from miner.jobs.rules import Terms
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.peers import CLASS, ValidatorPeer

PEER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address)
HOTKEY = VALIDATOR.ss58_address
JOB = "5ec9b0e4-2a86-4f9b-8cf6-3c9e8ac8d1d7"
SECOND = timedelta(seconds=1)


def test_a_job_has_the_sum_of_its_limits():
    # Class 3, checks 5, leeway 5, download, streaming, execution, upload 1 each, grace 30.
    assert rules.time_to_live(PEER.offer(JOB), Terms()) == 47 * SECOND


def test_a_job_with_one_limit_has_that():
    offer = PEER.offer(JOB, executor_timing=None, timeout_seconds=300)
    assert rules.time_to_live(offer, Terms(grace=0 * SECOND)) == 308 * SECOND


def test_there_is_no_ceiling():
    long = PEER.offer(JOB).executor_timing.model_copy(update={"execution_time_limit": 30 * 86400})
    assert rules.time_to_live(PEER.offer(JOB, executor_timing=long), Terms()) > 30 * 86400 * SECOND


def test_the_frame_is_what_is_signed():
    raw = PEER.offer(JOB).encode()
    rules.check_signature(raw, HOTKEY, Terms(require_signature=True))
    for bad in (raw.replace("busybox", "busybix"), raw[:-1] + ',"extra":0}'):
        with pytest.raises(RejectionError) as caught:
            rules.check_signature(bad, HOTKEY, Terms())
        assert caught.value.reason is RejectionReason.INVALID_SIGNATURE


def test_an_extra_key_is_fine_when_it_was_signed():
    said = PEER.offer(JOB).model_dump(mode="json") | {"new": [1.5, None]}
    said["validator_signature"] = rules.signing.signed_hex(
        VALIDATOR, rules.signing.validator_signed_text(said)
    )
    rules.check_signature(json.dumps(said), HOTKEY, Terms(require_signature=True))


@pytest.mark.parametrize(
    "change",
    [
        {"job_uuid": "6ec9b0e4-2a86-4f9b-8cf6-3c9e8ac8d1d7"},
        {"executor_class": ExecutorClass.always_on__cpu__8c__16gb},
        {"validator_hotkey": STRANGER.ss58_address},
        {"miner_hotkey": STRANGER.ss58_address},
    ],
)
def test_the_started_receipt_is_of_this_very_job(change):
    receipt = PEER.started(JOB).model_copy(update=change)
    offer = PEER.offer(
        JOB,
        job_started_receipt_payload=receipt,
        job_started_receipt_signature=rules.signing.signed_hex(VALIDATOR, receipt.blob()),
    )
    with pytest.raises(RejectionError) as caught:
        rules.started_receipt(offer, HOTKEY, MINER, Terms())
    assert caught.value.reason is RejectionReason.INVALID_RECEIPT
    assert rules.started_receipt(offer, HOTKEY, MINER, Terms(check_receipts=False)) is None


def test_a_good_started_receipt_has_both_signatures():
    rules.started_receipt(PEER.offer(JOB), HOTKEY, MINER, Terms()).verify()


def test_a_trusted_miner_signs_whatever_name_is_in_the_receipt():
    said = ValidatorPeer(None, VALIDATOR, "0" * 48).finished_receipt(JOB)
    with pytest.raises(BadSignature):
        rules.counter_sign(said.payload, said.signature, MINER, Terms())
    assert rules.counter_sign(said.payload, said.signature, MINER, Terms(trusted=True))
    with pytest.raises(BadSignature):
        rules.counter_sign(said.payload, "0x" + "00" * 64, MINER, Terms(trusted=True))


def test_a_class_without_executors_is_declined():
    for manifest in ({}, {CLASS: 0}):
        with pytest.raises(RejectionError, match=r"no executors of always_on\.test"):
            rules.check_offered(PEER.offer(JOB), manifest)
    rules.check_offered(PEER.offer(JOB), {CLASS: 1})


def test_an_outline_tells_kinds_and_names_but_no_contents():
    payload = PEER.payload(
        JOB,
        env={"TOKEN": "hush"},
        docker_run_cmd=["a\0b"],
        volume=InlineVolume(contents="aHVzaA==", relative_path="in"),
        output_upload=FilePut(url="https://x/?key=hush", relative_path="out"),
    )
    text = rules.outline(payload)
    assert "hush" not in text
    assert "aHVzaA" not in text
    assert "\0" not in text
    told = json.loads(text)
    assert told["env"] == ["TOKEN"]
    assert told["docker_run_cmd"] == ["a\0b"]
    assert told["volume"] == [["inline", "in"]]
    assert told["output_upload"] == [["single_file_put", "out"]]


def test_whose_job_an_unreadable_offer_was():
    raw = json.dumps({"message_type": rules.OFFER, "job_uuid": JOB, "executor_class": "?"})
    assert rules.job_uuid_of(raw, rules.OFFER) == JOB
    assert rules.job_uuid_of(raw, rules.PAYLOAD) is None
    for nonsense in ("", "[]", "{", json.dumps({"message_type": rules.OFFER, "job_uuid": 1})):
        assert rules.job_uuid_of(nonsense, rules.OFFER) is None
    assert rules.job_uuid_of(raw.replace(JOB, "../x"), rules.OFFER) is None


def test_every_way_to_end_fills_the_row():
    finished = JobFinished(job_uuid=JOB, docker_process_stdout="o\0", docker_process_stderr="e")
    assert rules.result_fields(finished) == {"exit_status": 0, "stdout": "o", "stderr": "e"}
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


def test_every_state_of_a_job_here_has_a_stage_to_blame():
    assert set(rules.STAGE_IN) == set(lifecycle.MAY_FOLLOW) - {"sent"}


@pytest.mark.parametrize("image", ["elsewhere", None])
def test_users_are_let_only_into_images_on_the_list(image):
    details = StreamingDetails(public_key="PEM")
    offer = PEER.offer(JOB, streaming_details=details, docker_image=image)
    with pytest.raises(RejectionError, match="serves no streaming jobs of image"):
        rules.check_streaming(offer, Terms(streaming_images=("org/*",)))


def test_an_image_on_the_list_may_serve():
    details = StreamingDetails(public_key="PEM")
    offer = PEER.offer(JOB, streaming_details=details, docker_image="org/llm:v1")
    rules.check_streaming(offer, Terms(streaming_images=("org/*",)))
    rules.check_streaming(PEER.offer(JOB), Terms())
