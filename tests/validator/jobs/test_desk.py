"""Which jobs are taken and whom they are given to."""

import asyncio
from uuid import uuid4

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import (
    JobAccepted,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.message import Message
from compute_horde.protocol.receipt import FinishedReceiptIssued
from compute_horde.vocabulary import (
    HordeReason,
    JobState,
    Party,
    RejectionReason,
)
from tests.validator.conftest import Scene, listening, remember
from tests.validator.peers import (
    STRANGER,
    VALIDATOR,
    FacilitatorPeer,
    MinerPeer,
    obliging,
    request,
    serving,
)
from tests.validator.scripts import (
    OTHER_MINER,
    declining,
    lost,
    offered_then,
    rest,
    row_of,
)
from validator.jobs import actions, queries
from validator.jobs.lines import Address
from validator.jobs.models import Job


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (request(signer=None), "Signature is empty"),
        (
            request(signer=STRANGER),
            f"Signatory {STRANGER.ss58_address} is not in validator whitelist",
        ),
        (request().model_copy(update={"docker_image": "evil"}), "Bad signature"),
        (
            request(timestamp_ns=1),
            "The signature is too old, or its clock is ahead of ours",
        ),
    ],
)
async def test_a_request_not_rightly_signed_is_rejected_in_published_words(
    scene: Scene, job, text: str
) -> None:
    miner = MinerPeer()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert end.status is JobState.REJECTED
        assert (details.reason, details.rejected_by, details.message) == (
            RejectionReason.INVALID_SIGNATURE,
            Party.VALIDATOR,
            text,
        )
        good = request()
        await facilitator.say(good)
        assert (await facilitator.hears_end(good.uuid)).status is JobState.COMPLETED
    assert [one.job_uuid for one in miner.all(JobOffered)] == [good.uuid]


async def test_a_signature_replayed_under_another_uuid_is_rejected(scene: Scene) -> None:
    miner, job = MinerPeer(), request()
    replay = job.model_copy(update={"uuid": str(uuid4())})
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        await facilitator.hears_end(job.uuid)
        await facilitator.say(replay)
        end = await facilitator.hears_end(replay.uuid)
        assert end.status is JobState.REJECTED
        assert "replayed" in end.metadata.job_rejection_details.message
    assert len(miner.all(JobOffered)) == 1


@pytest.mark.parametrize("when", ["running", "over"])
async def test_a_job_sent_again_is_reported_again_and_not_run_again(
    scene: Scene, when: str
) -> None:
    script = offered_then(JobAccepted) if when == "running" else obliging
    miner, job = MinerPeer(script), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        last = "accepted" if when == "running" else "completed"
        told = await facilitator.until(
            lambda: facilitator.states(job.uuid)[-1:] == [last] and facilitator.states(job.uuid)
        )
        await facilitator.say(job)
        await facilitator.until(lambda: facilitator.states(job.uuid) == told + told)
    assert len(miner.all(JobOffered)) == 1


async def test_jobs_are_spread_over_miners_and_wait_when_all_are_busy(scene: Scene) -> None:
    held: dict[str, MinerPeer] = {}

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            held[message.job_uuid] = miner
            return []
        return obliging(miner, message)

    miners = [
        MinerPeer(script, {"always_on.test": 2}),
        MinerPeer(script, {"always_on.test": 1}, OTHER_MINER),
    ]
    jobs = [request() for _ in range(5)]
    async with scene(*miners) as facilitator:
        await facilitator.say(*jobs)
        for miner, seats in zip(miners, (2, 1), strict=True):
            await miner.hears(JobPayload, seats)
        await asyncio.sleep(0.1)
        assert [len(miner.all(JobOffered)) for miner in miners] == [2, 1]
        for _ in jobs:
            async with asyncio.timeout(5):
                while not held:
                    await asyncio.sleep(0.01)
            uuid, miner = held.popitem()
            road = [VolumesReady(job_uuid=uuid), *rest(uuid)]
            await miner.say(*road)
            await facilitator.hears_end(uuid)
        assert {(await row_of(job.uuid)).state for job in jobs} == {"completed"}
    assert sum(len(miner.all(JobOffered)) for miner in miners) == 5


async def test_a_job_that_is_no_longer_ours_gives_its_seat_back(scene: Scene) -> None:
    miner = MinerPeer(offered_then(JobAccepted), {"always_on.test": 1})
    first, second, third = request(), request(), request()
    async with scene(miner) as facilitator:
        await facilitator.say(first)
        await miner.hears(JobOffered)
        await facilitator.say(second)
        await facilitator.until(lambda: facilitator.states(second.uuid))
        elsewhere = Job.objects.filter(pk=second.uuid)
        await in_database(elsewhere.update, state=JobState.HORDE_FAILED)
        miner.script = obliging
        await miner.say(lost(first.uuid))
        await facilitator.hears_end(first.uuid)
        await facilitator.say(third)
        assert (await facilitator.hears_end(third.uuid)).status is JobState.COMPLETED
    assert [one.job_uuid for one in miner.all(JobOffered)] == [first.uuid, third.uuid]


async def test_a_job_that_waits_too_long_is_rejected(scene: Scene) -> None:
    miner = MinerPeer(offered_then(JobAccepted), {"always_on.test": 1})
    first, second = request(), request()
    async with scene(miner, queue_seconds=0.3) as facilitator:
        await facilitator.say(first)
        await miner.hears(JobOffered)
        await facilitator.say(second)
        end = await facilitator.hears_end(second.uuid)
        details = end.metadata.job_rejection_details
        assert (details.reason, details.rejected_by) == (
            RejectionReason.NO_MINER_FOR_JOB,
            Party.VALIDATOR,
        )


async def test_a_busy_miner_is_asked_again_and_not_in_a_hot_loop(scene: Scene) -> None:
    miner, job = MinerPeer(declining(RejectionReason.BUSY, 2)), request()
    async with scene(miner) as facilitator:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
        assert loop.time() - began > 0.7
    assert len(miner.all(JobOffered)) == 3


async def test_a_miner_that_declines_makes_way_for_another(scene: Scene) -> None:
    unwilling = MinerPeer(declining(RejectionReason.VALIDATOR_BLACKLISTED), {"always_on.test": 9})
    willing = MinerPeer(obliging, {"always_on.test": 1}, OTHER_MINER)
    jobs = [request() for _ in range(12)]
    async with scene(unwilling, willing) as facilitator:
        for job in jobs:
            await facilitator.say(job)
            assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
            assert (await row_of(job.uuid)).miner == willing.hotkey
    assert unwilling.all(JobOffered)


async def test_when_all_miners_decline_the_user_is_told_why(scene: Scene) -> None:
    miner, job = MinerPeer(declining(RejectionReason.INVALID_SIGNATURE)), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert (details.reason, details.rejected_by, details.message) == (
            RejectionReason.INVALID_SIGNATURE,
            Party.MINER,
            "no",
        )
    assert len(miner.all(JobOffered)) == 1


async def test_a_class_that_nobody_offers_is_rejected(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.2) as facilitator:
        job = request(executor_class="always_on.llm.a6000")
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert end.metadata.job_rejection_details.reason is RejectionReason.NO_MINER_FOR_JOB


async def test_a_job_whose_only_miner_is_out_of_reach_fails_by_the_networks_fault(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner, queue_seconds=0.5) as facilitator:
        await miner.stop()
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED


async def test_the_validators_own_signature_is_good_without_any_list(scene: Scene) -> None:
    job = request(signer=VALIDATOR)
    async with scene(MinerPeer(), allowed_signers=[]) as facilitator:
        await facilitator.say(job)
        assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED


async def test_a_signer_allowed_in_the_database_is_served_at_once(scene: Scene) -> None:
    first, second = request(signer=STRANGER), request(signer=STRANGER)
    async with scene(MinerPeer()) as facilitator:
        await facilitator.say(first)
        assert (await facilitator.hears_end(first.uuid)).status is JobState.REJECTED
        await in_database(actions.allow, [STRANGER.ss58_address], "a test")
        await facilitator.say(second)
        assert (await facilitator.hears_end(second.uuid)).status is JobState.COMPLETED


async def test_a_job_for_the_trusted_miner_goes_there_and_earns_nothing(scene: Scene) -> None:
    trusted, other = MinerPeer(), MinerPeer(keypair=OTHER_MINER)
    async with serving(trusted):
        address = {
            "trusted_miner_address": "127.0.0.1",
            "trusted_miner_port": trusted.port,
        }
        async with scene(other, **address) as facilitator:
            await trusted.until(lambda: trusted.logins)
            job = request(on_trusted_miner=True)
            await facilitator.say(job)
            assert (await facilitator.hears_end(job.uuid)).status is JobState.COMPLETED
            offered = await trusted.hears(JobOffered)
            assert offered.job_started_receipt_payload.miner_hotkey == TRUSTED_MINER_HOTKEY
            finished = await trusted.hears(FinishedReceiptIssued)
            assert finished.payload.score_str == "0.000000"
            plain = request()
            await facilitator.say(plain)
            await facilitator.hears_end(plain.uuid)
    assert [len(one.all(JobOffered)) for one in (trusted, other)] == [1, 1]


async def test_without_a_trusted_miner_such_a_job_is_rejected(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.1) as facilitator:
        job = request(on_trusted_miner=True)
        await facilitator.say(job)
        end = await facilitator.hears_end(job.uuid)
        assert "no trusted miner" in end.metadata.job_rejection_details.message


@pytest.mark.django_db(transaction=True)
async def test_a_row_read_before_its_job_ended_is_not_taken_up_again() -> None:
    miner, job, facilitator = MinerPeer(), request(), FacilitatorPeer()
    stale: list[Job] = []

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        return [] if isinstance(message, JobPayload) else obliging(miner, message)

    miner.script = script
    async with serving(facilitator, miner):
        await in_database(remember, miner)
        async with listening(facilitator) as listener:
            await facilitator.until(lambda: facilitator.logins)
            await facilitator.say(job)
            await miner.hears(JobPayload)
            stale += [await row_of(job.uuid)]
            await miner.say(VolumesReady(job_uuid=job.uuid), *rest(job.uuid))
            await miner.hears(FinishedReceiptIssued)
            await facilitator.hears_end(job.uuid)
            async with asyncio.timeout(5):
                while listener._desk.miner_of(job.uuid):
                    await asyncio.sleep(0.01)
            assert not stale[0].is_final
            listener._desk.adopt(stale)
            assert listener._desk.miner_of(job.uuid) is None


@pytest.mark.django_db(transaction=True)
async def test_a_miner_that_goes_on_and_on_about_a_job_is_reminded_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facilitator, uuid, asked = FacilitatorPeer(), request().uuid, []
    monkeypatch.setattr(queries, "finished_receipt", lambda *about: asked.append(about))
    async with serving(facilitator), listening(facilitator) as listener:
        board = listener._switchboard
        board.serve([Address(OTHER_MINER.ss58_address, "127.0.0.1", 1)])
        line = board.line(OTHER_MINER.ss58_address)
        for _ in range(2):
            for _ in range(20):
                listener._desk.heard_stray(line, VolumesReady(job_uuid=uuid))
            async with asyncio.timeout(5):
                while listener._desk._reminding:
                    await asyncio.sleep(0.01)
    assert asked == [(uuid, OTHER_MINER.ss58_address)] * 2


async def test_the_end_of_a_job_that_somebody_else_ended_is_told_as_it_was_written(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(offered_then(JobAccepted)), request()
    async with scene(miner) as facilitator:
        await facilitator.say(job)
        await facilitator.until(lambda: "accepted" in facilitator.states(job.uuid))
        row = Job.objects.filter(pk=job.uuid)
        await in_database(row.update, state=JobState.HORDE_FAILED)
        await miner.say(lost(job.uuid))
        await facilitator.until(lambda: facilitator.states(job.uuid).count("accepted") > 1)
        assert "horde_failed" not in facilitator.states(job.uuid)
        good = request()
        miner.script = obliging
        await facilitator.say(good)
        await miner.hears(FinishedReceiptIssued)
        told = [one.payload.job_uuid for one in miner.all(FinishedReceiptIssued)]
    assert told == [good.uuid]
