"""Which jobs are accepted, and which miners get them."""

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
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import OTHER_MINER, STRANGER, VALIDATOR
from tests.peers.miner import MinerPeer, declining, extended, lost, obliging, offered_then, rest
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import Scene, listening, remember
from tests.validator.rows import row_of
from validator.jobs import actions, queries
from validator.jobs.models import Job
from validator.miners.connection import Address


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
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert end.status is JobState.REJECTED
        assert (details.reason, details.rejected_by, details.message) == (
            RejectionReason.INVALID_SIGNATURE,
            Party.VALIDATOR,
            text,
        )
        good = request()
        await facilitator.send(good)
        assert (await facilitator.receives_end(good.uuid)).status is JobState.COMPLETED
    assert [one.job_uuid for one in miner.all(JobOffered)] == [good.uuid]


async def test_a_signature_replayed_under_another_uuid_is_rejected(scene: Scene) -> None:
    miner, job = MinerPeer(), request()
    replay = job.model_copy(update={"uuid": str(uuid4())})
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        await facilitator.receives_end(job.uuid)
        await facilitator.send(replay)
        end = await facilitator.receives_end(replay.uuid)
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
        await facilitator.send(job)
        last = "accepted" if when == "running" else "completed"
        received = await facilitator.until(
            lambda: facilitator.states(job.uuid)[-1:] == [last] and facilitator.states(job.uuid)
        )
        await facilitator.send(job)
        await facilitator.until(lambda: facilitator.states(job.uuid) == received + received)
    assert len(miner.all(JobOffered)) == 1


async def test_jobs_are_spread_over_miners_and_wait_when_all_are_busy(scene: Scene) -> None:
    held: dict[str, MinerPeer] = {}

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobPayload):
            held[message.job_uuid] = miner
            return []
        return obliging(miner, message)

    miners = [
        extended(MinerPeer(script, {"always_on.test": 2})),
        extended(MinerPeer(script, {"always_on.test": 1}, OTHER_MINER)),
    ]
    jobs = [request() for _ in range(5)]
    async with scene(*miners) as facilitator:
        await facilitator.send(*jobs)
        for miner, candidates in zip(miners, (2, 1), strict=True):
            await miner.receives(JobPayload, candidates)
        await asyncio.sleep(0.1)
        assert [len(miner.all(JobOffered)) for miner in miners] == [2, 1]
        for _ in jobs:
            await eventually(lambda: held)
            uuid, miner = held.popitem()
            road = [VolumesReady(job_uuid=uuid), *rest(uuid)]
            await miner.send(*road)
            await facilitator.receives_end(uuid)
        assert {(await row_of(job.uuid)).state for job in jobs} == {"completed"}
    assert sum(len(miner.all(JobOffered)) for miner in miners) == 5


async def test_a_job_that_is_no_longer_ours_gives_its_seat_back(scene: Scene) -> None:
    miner = MinerPeer(offered_then(JobAccepted), {"always_on.test": 1})
    first, second, third = request(), request(), request()
    async with scene(miner) as facilitator:
        await facilitator.send(first)
        await miner.receives(JobOffered)
        await facilitator.send(second)
        await facilitator.until(lambda: facilitator.states(second.uuid))
        elsewhere = Job.objects.filter(pk=second.uuid)
        await in_database(elsewhere.update, state=JobState.HORDE_FAILED)
        miner.script = obliging
        await miner.send(lost(first.uuid))
        await facilitator.receives_end(first.uuid)
        await facilitator.send(third)
        assert (await facilitator.receives_end(third.uuid)).status is JobState.COMPLETED
    assert [one.job_uuid for one in miner.all(JobOffered)] == [first.uuid, third.uuid]


async def test_a_job_that_waits_too_long_is_rejected(scene: Scene) -> None:
    miner = MinerPeer(offered_then(JobAccepted), {"always_on.test": 1})
    first, second = request(), request()
    async with scene(miner, queue_seconds=0.3) as facilitator:
        await facilitator.send(first)
        await miner.receives(JobOffered)
        await facilitator.send(second)
        end = await facilitator.receives_end(second.uuid)
        details = end.metadata.job_rejection_details
        assert (details.reason, details.rejected_by) == (
            RejectionReason.NO_MINER_FOR_JOB,
            Party.VALIDATOR,
        )


async def test_a_busy_miner_is_asked_again_and_not_in_a_hot_loop(scene: Scene) -> None:
    miner, job = extended(MinerPeer(declining(RejectionReason.BUSY, 2))), request()
    async with scene(miner) as facilitator:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await facilitator.send(job)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
        assert loop.time() - began > 0.7
    assert len(miner.all(JobOffered)) == 3


async def test_a_miner_that_declines_makes_way_for_another(scene: Scene) -> None:
    unwilling = MinerPeer(declining(RejectionReason.VALIDATOR_BLACKLISTED), {"always_on.test": 9})
    willing = MinerPeer(obliging, {"always_on.test": 1}, OTHER_MINER)
    jobs = [request() for _ in range(12)]
    async with scene(unwilling, willing) as facilitator:
        for job in jobs:
            await facilitator.send(job)
            assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
            assert (await row_of(job.uuid)).miner == willing.hotkey
    assert unwilling.all(JobOffered)


async def test_when_all_miners_decline_the_user_is_told_why(scene: Scene) -> None:
    miner, job = MinerPeer(declining(RejectionReason.INVALID_SIGNATURE)), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
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
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        assert end.metadata.job_rejection_details.reason is RejectionReason.NO_MINER_FOR_JOB


async def test_a_job_whose_only_miner_is_out_of_reach_fails_by_the_networks_fault(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(), request()
    async with scene(miner, queue_seconds=0.5) as facilitator:
        await miner.stop()
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED


async def test_the_validators_own_signature_is_good_without_any_list(scene: Scene) -> None:
    job = request(signer=VALIDATOR)
    async with scene(MinerPeer(), allowed_signers=[]) as facilitator:
        await facilitator.send(job)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED


async def test_a_signer_allowed_in_the_database_is_served_at_once(scene: Scene) -> None:
    first, second = request(signer=STRANGER), request(signer=STRANGER)
    async with scene(MinerPeer()) as facilitator:
        await facilitator.send(first)
        assert (await facilitator.receives_end(first.uuid)).status is JobState.REJECTED
        await in_database(actions.allow_signers, [STRANGER.ss58_address], "a test")
        await facilitator.send(second)
        assert (await facilitator.receives_end(second.uuid)).status is JobState.COMPLETED


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
            await facilitator.send(job)
            assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
            offered = await trusted.receives(JobOffered)
            assert offered.job_started_receipt_payload.miner_hotkey == TRUSTED_MINER_HOTKEY
            finished = await trusted.receives(FinishedReceiptIssued)
            assert finished.payload.score_str == "0.000000"
            plain = request()
            await facilitator.send(plain)
            await facilitator.receives_end(plain.uuid)
    assert [len(one.all(JobOffered)) for one in (trusted, other)] == [1, 1]


async def test_without_a_trusted_miner_such_a_job_is_rejected(scene: Scene) -> None:
    async with scene(MinerPeer(), queue_seconds=0.1) as facilitator:
        job = request(on_trusted_miner=True)
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
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
            await facilitator.send(job)
            await miner.receives(JobPayload)
            stale += [await row_of(job.uuid)]
            await miner.send(VolumesReady(job_uuid=job.uuid), *rest(job.uuid))
            await miner.receives(FinishedReceiptIssued)
            await facilitator.receives_end(job.uuid)
            await eventually(lambda: not listener._intake.miner_of(job.uuid))
            assert not stale[0].is_final
            listener._intake.resume_all(stale)
            assert listener._intake.miner_of(job.uuid) is None


@pytest.mark.django_db(transaction=True)
async def test_a_miner_that_goes_on_and_on_about_a_job_is_reminded_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facilitator, uuid, asked = FacilitatorPeer(), request().uuid, []
    monkeypatch.setattr(queries, "finished_receipt", lambda *about: asked.append(about))
    async with serving(facilitator), listening(facilitator) as listener:
        connections = listener._connections
        connections.serve([Address(OTHER_MINER.ss58_address, "127.0.0.1", 1)])
        connection = connections.connection(OTHER_MINER.ss58_address)
        for _ in range(2):
            for _ in range(20):
                listener._intake.on_unmatched(connection, VolumesReady(job_uuid=uuid))
            await eventually(lambda: not listener._intake._resending)
    assert asked == [(uuid, OTHER_MINER.ss58_address)] * 2


async def test_the_end_of_a_job_that_somebody_else_ended_is_told_as_it_was_written(
    scene: Scene,
) -> None:
    miner, job = MinerPeer(offered_then(JobAccepted)), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        await facilitator.until(lambda: "accepted" in facilitator.states(job.uuid))
        row = Job.objects.filter(pk=job.uuid)
        await in_database(row.update, state=JobState.HORDE_FAILED)
        await miner.send(lost(job.uuid))
        await facilitator.until(lambda: facilitator.states(job.uuid).count("accepted") > 1)
        assert "horde_failed" not in facilitator.states(job.uuid)
        good = request()
        miner.script = obliging
        await facilitator.send(good)
        await miner.receives(FinishedReceiptIssued)
        received = [one.payload.job_uuid for one in miner.all(FinishedReceiptIssued)]
    assert received == [good.uuid]
