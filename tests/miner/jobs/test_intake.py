"""Messages of validators: offers accepted and declined, payloads, receipts."""

import pytest

from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import (
    ExecutorReady,
    JobAccepted,
    JobDeclined,
    JobFailed,
)
from compute_horde.signing import signed_hex
from compute_horde.vocabulary import JobState, RejectionReason
from compute_horde.volumes import InlineVolume
from miner.earnings.models import DeclineCount
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from miner.validators.models import ValidatorBlacklist
from tests.miner.conftest import VALIDATOR, accepted, record
from tests.miner.peers import ValidatorPeer

HOTKEY = VALIDATOR.ss58_address


async def declined(run_miner, change=lambda offer: offer, **settings) -> JobDeclined:
    async with run_miner(**settings) as it:
        await it.executor()
        validator = await it.validator()
        offer = change(validator.offer())
        await validator.send(offer)
        answer = await validator.receive()
        while isinstance(answer, GenericError):
            answer = await validator.receive()
        assert await in_database(Job.objects.count) == 0
        return answer


async def test_a_blacklisted_validator_is_declined(run_miner):
    async with run_miner() as it:
        await in_database(ValidatorBlacklist.objects.create, hotkey=HOTKEY)
        await it.miner.directory.read()
        validator = await it.validator()
        await validator.send(validator.offer())
        assert (await validator.receive()).reason is RejectionReason.VALIDATOR_BLACKLISTED


async def test_an_offer_changed_after_signing_is_declined(run_miner):
    answer = await declined(run_miner, lambda o: o.model_copy(update={"docker_image": "evil"}))
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_the_signature_covers_unknown_keys(run_miner):
    answer = await declined(run_miner, lambda offer: offer.model_dump(mode="json") | {"novelty": 1})
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_an_unsigned_offer_is_declined_where_signatures_are_required(run_miner):
    answer = await declined(
        run_miner,
        lambda offer: offer.model_copy(update={"validator_signature": None}),
        require_validator_signature=True,
    )
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_an_unsigned_offer_is_accepted_where_they_are_not(run_miner):
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        await validator.send(validator.offer().model_copy(update={"validator_signature": None}))
        assert isinstance(await validator.receive(), JobAccepted)


def _bad_receipt(offer):
    bad = offer.model_copy(update={"job_started_receipt_signature": "0x" + "11" * 64})
    return bad.signed(VALIDATOR)


async def test_an_invalid_started_receipt_is_declined(run_miner):
    assert (await declined(run_miner, _bad_receipt)).reason is RejectionReason.INVALID_RECEIPT


async def test_an_invalid_started_receipt_is_accepted_if_receipts_are_not_checked(run_miner):
    async with run_miner(check_receipts=False) as it:
        await it.executor()
        validator = await it.validator()
        await validator.send(_bad_receipt(validator.offer()))
        assert isinstance(await validator.receive(), JobAccepted)
        await it.miner.receipt_writer.close()
        assert await in_database(Receipt.objects.count) == 0


async def test_a_started_receipt_of_another_job_is_declined(run_miner):
    def other(offer):
        uuid = "00000000-0000-4000-8000-000000000000"
        return offer.model_copy(update={"job_uuid": uuid}).signed(VALIDATOR)

    assert (await declined(run_miner, other)).reason is RejectionReason.INVALID_RECEIPT


async def test_a_volume_outside_the_job_is_declined(run_miner):
    def escaping(offer):
        volume = InlineVolume(contents="", relative_path="../../etc/x")
        return offer.model_copy(update={"volume": volume}).signed(VALIDATOR)

    answer = await declined(run_miner, escaping)
    assert answer.message.startswith("Received JobRequest with unsafe volume: '../../etc/x'")


async def test_a_class_that_this_miner_does_not_have_is_declined(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        await validator.send(validator.offer(executor_class=ExecutorClass.always_on__llm__a6000))
        answer = await validator.receive()
        assert answer.reason is RejectionReason.UNKNOWN
        assert "always_on.llm.a6000" in answer.message


async def test_an_unknown_class_is_declined(run_miner):
    answer = await declined(
        run_miner, lambda offer: offer.model_dump(mode="json") | {"executor_class": "quantum"}
    )
    assert answer.reason is RejectionReason.UNKNOWN
    assert "executor_class" in answer.message


async def test_a_busy_miner_declines_with_the_receipts_of_its_jobs(run_miner):
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        first, second = validator.offer(), validator.offer()
        await validator.send(first)
        assert isinstance(await validator.receive(), JobAccepted)
        await validator.send(second)
        answer = await validator.receive()
        assert (answer.job_uuid, answer.reason) == (second.job_uuid, RejectionReason.BUSY)
        assert [r.payload for r in answer.receipts] == [first.job_started_receipt_payload]
        answer.receipts[0].verify()


def synthetic(validator, **changes):
    """An offer of a job that is not a user's."""
    offer = validator.offer()
    receipt = offer.job_started_receipt_payload.model_copy(update={"is_organic": False})
    signature = signed_hex(VALIDATOR, receipt.blob())
    update = {"job_started_receipt_payload": receipt, "job_started_receipt_signature": signature}
    return offer.model_copy(update=update | changes).signed(VALIDATOR)


@pytest.mark.parametrize("is_organic", [True, False])
async def test_a_synthetic_job_is_declined_while_busy_and_users_jobs_alone_excuse(
    run_miner, is_organic
):
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        first = validator.offer() if is_organic else synthetic(validator)
        second = synthetic(validator)
        await validator.send(first)
        assert isinstance(await validator.receive(), JobAccepted)
        await validator.send(second)
        answer = await validator.receive()
        assert (answer.job_uuid, answer.reason) == (second.job_uuid, RejectionReason.BUSY)
        assert [one.payload.job_uuid for one in answer.receipts] == [first.job_uuid] * is_organic
    counted = await in_database(DeclineCount.objects.get)
    assert (counted.cause, counted.with_excuses, counted.count) == ("busy", is_organic, 1)


async def test_a_repeated_offer_is_one_job(run_miner):
    async with run_miner() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        await validator.send(offer)
        await validator.send(offer)
        assert await validator.receive() == JobAccepted(job_uuid=offer.job_uuid)
        await executor.receive()
        await executor.send(ExecutorReady(job_uuid=offer.job_uuid))
        while not isinstance(await validator.receive(), ExecutorReady):
            pass
        await validator.send(offer)
        assert await validator.receive_names(2) == ["JobAccepted", "ExecutorReady"]
        assert await in_database(Job.objects.count) == 1
        assert await executor.receives_nothing()


async def test_an_offer_of_an_ended_job_is_answered_with_its_result(run_miner):
    async with run_miner() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        await validator.send(offer)
        await executor.receive()
        await executor.send(failed := JobFailed(job_uuid=offer.job_uuid, message="bad image"))
        assert await validator.receive_names(2) == ["JobAccepted", "JobFailed"]
        await it.executor(1)
        await validator.send(offer)
        assert await validator.receive_names(1) == ["JobAccepted"]
        assert await validator.receive() == failed


async def test_a_known_uuid_with_other_contents_is_refused(run_miner):
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        offer = validator.offer()
        await validator.send(offer)
        await validator.receive()
        await validator.send(validator.offer(offer.job_uuid, docker_image="another"))
        assert "other contents" in (await validator.receive()).details


async def test_a_payload_for_an_unknown_job_is_an_error(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        uuid = "00000000-0000-4000-8000-000000000000"
        await validator.send(validator.payload(uuid))
        text = f"Received JobRequest for unknown job_uuid: {uuid}"
        assert await validator.receive() == GenericError(details=text)


async def test_a_repeated_payload_reaches_the_executor_once(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        payload = validator.payload(uuid)
        await validator.send(payload)
        await validator.send(payload)
        # A validator that reconnected signs it again.
        await validator.send(validator.payload(uuid))
        assert await validator.receives_nothing()
        await validator.send(validator.payload(uuid, docker_image="another"))
        assert "another JobRequest" in (await validator.receive()).details
        assert await executor.receive() == payload
        assert await executor.receives_nothing()


async def test_a_payload_changed_after_signing_does_not_run(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        payload = validator.payload(uuid).model_copy(update={"docker_run_cmd": ["evil"]})
        await validator.send(payload)
        assert "validator_signature" in (await validator.receive()).details
        assert await executor.receives_nothing()


async def test_a_volume_may_be_sent_once(run_miner):
    async with run_miner() as it:
        volume = InlineVolume(contents="")
        _, validator, uuid = await accepted(it, volume=volume)
        await validator.send(validator.payload(uuid, volume=volume))
        text = f"Received job volume twice job_uuid: {uuid}"
        assert await validator.receive() == GenericError(details=text)


async def test_an_unsafe_volume_in_a_payload_fails_the_job(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        volume = InlineVolume(contents="", relative_path="/etc")
        await validator.send(validator.payload(uuid, volume=volume))
        assert isinstance(await validator.receive(), GenericError)
        ending = await validator.receive()
        assert (type(ending), ending.stage) == (JobFailed, "volume_download")
        assert (await record(uuid)).state == JobState.FAILED
        assert await executor.closed() == 1000
        assert it.manager.killed == [it.manager.tokens[0]]


async def test_an_invalid_payload_fails_the_job(run_miner):
    async with run_miner() as it:
        _, validator, uuid = await accepted(it)
        payload = validator.payload(uuid).model_dump(mode="json")
        put = "single_file_put"
        upload = {"output_upload_type": put, "url": "http://x", "relative_path": "../../etc/x"}
        await validator.send(payload | {"output_upload": upload})
        assert isinstance(await validator.receive(), GenericError)
        ending = await validator.receive()
        assert isinstance(ending, JobFailed)
        assert "output_upload" in ending.message


async def test_a_receipt_that_the_validator_did_not_sign_is_not_stored(run_miner):
    async with run_miner() as it:
        validator = await it.validator()
        receipt = validator.finished_receipt("00000000-0000-4000-8000-000000000000")
        await validator.send(receipt.model_copy(update={"signature": "0x" + "22" * 64}))
        assert isinstance(await validator.receive(), GenericError)
        assert await in_database(Receipt.objects.count) == 0


async def test_a_finished_receipt_ends_an_active_job(run_miner):
    async with run_miner() as it:
        _, validator, uuid = await accepted(it)
        await validator.send(validator.finished_receipt(uuid, score="0.000000"))
        assert await validator.receive_names(1) == ["HordeFailed"]
        assert (await record(uuid)).error_detail.startswith("The validator closed the job")
        await it.manager.has_killed(it.manager.tokens[0])
        await it.executor(1)


async def test_a_trusted_miner_accepts_a_login_to_another_hotkey(run_miner):
    async with run_miner(trusted=True) as it:
        await it.executor()
        peer = ValidatorPeer(it.app, VALIDATOR, "0" * 48)
        await peer.open()
        assert isinstance(await peer.log_in(), Manifest)
        offer = peer.offer()
        await peer.send(offer)
        assert await peer.receive() == JobAccepted(job_uuid=offer.job_uuid)


async def test_a_validator_that_has_signed_must_sign_every_request_also_after_a_restart(run_miner):
    unsigned = {"validator_signature": None}
    async with run_miner() as it:
        await it.executor()
        validator = await it.validator()
        await validator.send(validator.offer().model_copy(update=unsigned))
        assert isinstance(await validator.receive(), JobAccepted)
        # All executors are busy, but this one is signed.
        await validator.send(validator.offer())
        assert (await validator.receive()).reason is RejectionReason.BUSY
    async with run_miner() as it:
        validator = await it.validator()
        await validator.send(validator.offer().model_copy(update=unsigned))
        assert (await validator.receive()).reason is RejectionReason.INVALID_SIGNATURE


async def test_an_unsigned_payload_for_a_signed_offer_is_refused(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        payload = validator.payload(uuid)
        await validator.send(payload.model_copy(update={"validator_signature": None}))
        assert "validator_signature is required" in (await validator.receive()).details
        await validator.send(payload)
        assert await executor.receive() == payload
