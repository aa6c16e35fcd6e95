"""What validators may ask: offers accepted and declined, payloads, receipts."""

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
from compute_horde.vocabulary import JobState, RejectionReason
from compute_horde.volumes import InlineVolume
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from miner.validators.models import ValidatorBlacklist
from tests.miner.conftest import VALIDATOR, accepted, record
from tests.miner.peers import ValidatorPeer

HOTKEY = VALIDATOR.ss58_address


async def declined(scene, change=lambda offer: offer, **settings) -> JobDeclined:
    async with scene(**settings) as it:
        await it.executor()
        validator = await it.validator()
        offer = change(validator.offer())
        await validator.say(offer)
        answer = await validator.hear()
        while isinstance(answer, GenericError):
            answer = await validator.hear()
        assert await in_database(Job.objects.count) == 0
        return answer


async def test_a_blacklisted_validator_is_declined(scene):
    async with scene() as it:
        await in_database(ValidatorBlacklist.objects.create, hotkey=HOTKEY)
        await it.miner.directory.read()
        validator = await it.validator()
        await validator.say(validator.offer())
        assert (await validator.hear()).reason is RejectionReason.VALIDATOR_BLACKLISTED


async def test_an_offer_changed_after_signing_is_declined(scene):
    answer = await declined(scene, lambda o: o.model_copy(update={"docker_image": "evil"}))
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_the_signature_covers_keys_we_do_not_know(scene):
    answer = await declined(scene, lambda offer: offer.model_dump(mode="json") | {"novelty": 1})
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_an_unsigned_offer_is_declined_where_signatures_are_required(scene):
    answer = await declined(
        scene,
        lambda offer: offer.model_copy(update={"validator_signature": None}),
        require_validator_signature=True,
    )
    assert answer.reason is RejectionReason.INVALID_SIGNATURE


async def test_an_unsigned_offer_is_accepted_where_they_are_not(scene):
    async with scene() as it:
        await it.executor()
        validator = await it.validator()
        await validator.say(validator.offer().model_copy(update={"validator_signature": None}))
        assert isinstance(await validator.hear(), JobAccepted)


def _bad_receipt(offer):
    bad = offer.model_copy(update={"job_started_receipt_signature": "0x" + "11" * 64})
    return bad.signed(VALIDATOR)


async def test_a_bad_started_receipt_is_declined(scene):
    assert (await declined(scene, _bad_receipt)).reason is RejectionReason.INVALID_RECEIPT


async def test_a_bad_started_receipt_may_be_overlooked(scene):
    async with scene(check_receipts=False) as it:
        await it.executor()
        validator = await it.validator()
        await validator.say(_bad_receipt(validator.offer()))
        assert isinstance(await validator.hear(), JobAccepted)
        await it.miner.book.close()
        assert await in_database(Receipt.objects.count) == 0


async def test_a_started_receipt_of_another_job_is_declined(scene):
    def other(offer):
        uuid = "00000000-0000-4000-8000-000000000000"
        return offer.model_copy(update={"job_uuid": uuid}).signed(VALIDATOR)

    assert (await declined(scene, other)).reason is RejectionReason.INVALID_RECEIPT


async def test_a_volume_outside_the_job_is_declined(scene):
    def escaping(offer):
        volume = InlineVolume(contents="", relative_path="../../etc/x")
        return offer.model_copy(update={"volume": volume}).signed(VALIDATOR)

    answer = await declined(scene, escaping)
    assert answer.message.startswith("Received JobRequest with unsafe volume: '../../etc/x'")


async def test_a_class_this_miner_has_not_is_declined(scene):
    async with scene() as it:
        validator = await it.validator()
        await validator.say(validator.offer(executor_class=ExecutorClass.always_on__llm__a6000))
        answer = await validator.hear()
        assert answer.reason is RejectionReason.UNKNOWN
        assert "always_on.llm.a6000" in answer.message


async def test_a_class_nobody_has_is_declined(scene):
    answer = await declined(
        scene, lambda offer: offer.model_dump(mode="json") | {"executor_class": "quantum"}
    )
    assert answer.reason is RejectionReason.UNKNOWN
    assert "executor_class" in answer.message


async def test_a_busy_miner_declines_with_the_receipts_of_what_keeps_it_busy(scene):
    async with scene() as it:
        await it.executor()
        validator = await it.validator()
        first, second = validator.offer(), validator.offer()
        await validator.say(first)
        assert isinstance(await validator.hear(), JobAccepted)
        await validator.say(second)
        answer = await validator.hear()
        assert (answer.job_uuid, answer.reason) == (second.job_uuid, RejectionReason.BUSY)
        assert [r.payload for r in answer.receipts] == [first.job_started_receipt_payload]
        answer.receipts[0].verify()


async def test_an_offer_said_twice_is_one_job(scene):
    async with scene() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        await validator.say(offer)
        await validator.say(offer)
        assert await validator.hear() == JobAccepted(job_uuid=offer.job_uuid)
        await executor.hear()
        await executor.say(ExecutorReady(job_uuid=offer.job_uuid))
        while not isinstance(await validator.hear(), ExecutorReady):
            pass
        await validator.say(offer)
        assert await validator.hear_all(2) == ["JobAccepted", "ExecutorReady"]
        assert await in_database(Job.objects.count) == 1
        assert await executor.hears_nothing()


async def test_an_offer_of_a_job_that_is_over_is_answered_with_what_came_of_it(scene):
    async with scene() as it:
        executor, validator = await it.executor(), await it.validator()
        offer = validator.offer()
        await validator.say(offer)
        await executor.hear()
        await executor.say(failed := JobFailed(job_uuid=offer.job_uuid, message="bad image"))
        assert await validator.hear_all(2) == ["JobAccepted", "JobFailed"]
        await it.executor(1)
        await validator.say(offer)
        assert await validator.hear_all(1) == ["JobAccepted"]
        assert await validator.hear() == failed


async def test_a_known_uuid_with_other_contents_is_refused(scene):
    async with scene() as it:
        await it.executor()
        validator = await it.validator()
        offer = validator.offer()
        await validator.say(offer)
        await validator.hear()
        await validator.say(validator.offer(offer.job_uuid, docker_image="another"))
        assert "other contents" in (await validator.hear()).details


async def test_a_payload_for_an_unknown_job_is_complained_of(scene):
    async with scene() as it:
        validator = await it.validator()
        uuid = "00000000-0000-4000-8000-000000000000"
        await validator.say(validator.payload(uuid))
        text = f"Received JobRequest for unknown job_uuid: {uuid}"
        assert await validator.hear() == GenericError(details=text)


async def test_a_payload_said_twice_reaches_the_executor_once(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        payload = validator.payload(uuid)
        await validator.say(payload)
        await validator.say(payload)
        # A validator back from a break signs it anew.
        await validator.say(validator.payload(uuid))
        assert await validator.hears_nothing()
        await validator.say(validator.payload(uuid, docker_image="another"))
        assert "another JobRequest" in (await validator.hear()).details
        assert await executor.hear() == payload
        assert await executor.hears_nothing()


async def test_a_payload_changed_after_signing_does_not_run(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        payload = validator.payload(uuid).model_copy(update={"docker_run_cmd": ["evil"]})
        await validator.say(payload)
        assert "validator_signature" in (await validator.hear()).details
        assert await executor.hears_nothing()


async def test_a_volume_may_come_once(scene):
    async with scene() as it:
        volume = InlineVolume(contents="")
        _, validator, uuid = await accepted(it, volume=volume)
        await validator.say(validator.payload(uuid, volume=volume))
        text = f"Received job volume twice job_uuid: {uuid}"
        assert await validator.hear() == GenericError(details=text)


async def test_an_unsafe_volume_in_a_payload_fails_the_job(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        volume = InlineVolume(contents="", relative_path="/etc")
        await validator.say(validator.payload(uuid, volume=volume))
        assert isinstance(await validator.hear(), GenericError)
        ending = await validator.hear()
        assert (type(ending), ending.stage) == (JobFailed, "volume_download")
        assert (await record(uuid)).state == JobState.FAILED
        assert await executor.closed() == 1000
        assert it.manager.killed == [it.manager.tokens[0]]


async def test_a_payload_that_cannot_be_read_fails_the_job(scene):
    async with scene() as it:
        _, validator, uuid = await accepted(it)
        payload = validator.payload(uuid).model_dump(mode="json")
        put = "single_file_put"
        upload = {"output_upload_type": put, "url": "http://x", "relative_path": "../../etc/x"}
        await validator.say(payload | {"output_upload": upload})
        assert isinstance(await validator.hear(), GenericError)
        ending = await validator.hear()
        assert isinstance(ending, JobFailed)
        assert "output_upload" in ending.message


async def test_a_receipt_that_is_not_the_validators_is_not_kept(scene):
    async with scene() as it:
        validator = await it.validator()
        receipt = validator.finished_receipt("00000000-0000-4000-8000-000000000000")
        await validator.say(receipt.model_copy(update={"signature": "0x" + "22" * 64}))
        assert isinstance(await validator.hear(), GenericError)
        assert await in_database(Receipt.objects.count) == 0


async def test_a_finished_receipt_ends_a_job_nobody_waits_for(scene):
    async with scene() as it:
        _, validator, uuid = await accepted(it)
        await validator.say(validator.finished_receipt(uuid, score="0.000000"))
        assert await validator.hear_all(1) == ["HordeFailed"]
        assert (await record(uuid)).error_detail.startswith("The validator closed the job")
        await it.manager.has_killed(it.manager.tokens[0])
        await it.executor(1)


async def test_a_trusted_miner_is_not_called_by_its_hotkey(scene):
    async with scene(trusted=True) as it:
        await it.executor()
        peer = ValidatorPeer(it.app, VALIDATOR, "0" * 48)
        await peer.open()
        assert isinstance(await peer.log_in(), Manifest)
        offer = peer.offer()
        await peer.say(offer)
        assert await peer.hear() == JobAccepted(job_uuid=offer.job_uuid)
