"""Miners of the published implementation get each job once and each receipt once."""

import asyncio

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.job import JobFinished, JobOffered, JobPayload
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason
from tests.eventually import eventually
from tests.peers.facilitator import FacilitatorPeer
from tests.peers.keys import OTHER_MINER
from tests.peers.published_miner import BROKEN, PublishedMiner, obliging
from tests.peers.user import request
from tests.peers.websocket_server import serving
from tests.validator.conftest import Scene, listening, remember
from tests.validator.rows import row_of
from validator.miners import job_connections


def assert_unbroken(*miners: PublishedMiner) -> None:
    for miner in miners:
        assert BROKEN not in miner.closed_with, miner.complaints
        assert not miner.complaints


async def test_a_busy_published_miner_is_offered_a_job_once_and_the_job_ends_as_busy(
    scene: Scene,
) -> None:
    miner, job = PublishedMiner(occupied=1, busy_seconds=0.1), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        end = await facilitator.receives_end(job.uuid)
        details = end.metadata.job_rejection_details
        assert (end.status, details.reason, details.rejected_by) == (
            JobState.REJECTED,
            RejectionReason.BUSY,
            Party.MINER,
        )
    assert len(miner.all(JobOffered)) == 1
    assert_unbroken(miner)


async def test_a_job_that_a_published_miner_is_too_busy_for_goes_to_another(scene: Scene) -> None:
    busy = PublishedMiner(8, occupied=8, busy_seconds=0.1)
    free = PublishedMiner(1, keypair=OTHER_MINER)
    async with scene(busy, free) as facilitator:
        for job in (request(), request(), request()):
            await facilitator.send(job)
            assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
            assert (await row_of(job.uuid)).miner == free.hotkey
    assert_unbroken(busy, free)


async def test_no_receipt_is_said_twice_to_a_published_miner(scene: Scene) -> None:
    miner, first, second = PublishedMiner(2), request(), request()
    async with scene(miner) as facilitator:
        await facilitator.send(first)
        await miner.receives(FinishedReceiptIssued)
        # It repeats messages about an ended job on every connection that got them.
        again = obliging(await miner.receives(JobPayload))
        job = miner._jobs[first.uuid]
        job.connections = list(miner.connections)
        await miner.report(*job.sent, *again)
        await facilitator.send(second)
        await miner.receives(FinishedReceiptIssued, 2)
    for kind in (AcceptedReceiptIssued, FinishedReceiptIssued):
        received = [one.payload.job_uuid for one in miner.all(kind)]
        assert sorted(received) == sorted([first.uuid, second.uuid])
    assert_unbroken(miner)


async def test_a_fact_said_again_is_not_answered_with_a_second_receipt(scene: Scene) -> None:
    miner, job = PublishedMiner(answer=lambda payload: []), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        payload = await miner.receives(JobPayload)
        accepted = miner._jobs[job.uuid].sent[0]
        await miner.report(accepted, accepted, *obliging(payload))
        await miner.receives(FinishedReceiptIssued)
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
    assert len(miner.all(AcceptedReceiptIssued)) == 1
    assert_unbroken(miner)


async def test_a_slow_decline_ends_no_neighbours_job(scene: Scene) -> None:
    miner = PublishedMiner(4, occupied=3, busy_seconds=1.5, answer=lambda payload: [])
    jobs = [request() for _ in range(4)]
    # Less than one decline after the other would take.
    async with scene(miner, reservation_seconds=4) as facilitator:
        for job in jobs:
            await facilitator.send(job)
        going_on = (await miner.receives(JobPayload)).job_uuid
        declined = [job.uuid for job in jobs if job.uuid != going_on]
        ends = await asyncio.gather(*map(facilitator.receives_end, declined))
        assert [end.status for end in ends] == [JobState.REJECTED] * 3
        await miner.report(*obliging(miner.all(JobPayload)[0]))
        assert (await facilitator.receives_end(going_on)).status is JobState.COMPLETED
    assert_unbroken(miner)


async def test_connections_to_a_published_miner_are_bounded_and_closed_after_the_job(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_connections, "CONNECTIONS_PER_MINER", 3)
    miner, jobs = PublishedMiner(32), [request() for _ in range(9)]
    async with scene(miner) as facilitator:
        for job in jobs:
            await facilitator.send(job)
        for job in jobs:
            assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
        await miner.receives(FinishedReceiptIssued, 9)
        await eventually(lambda: len(miner.connections) <= 1)
    assert miner.most_connections <= 4
    assert_unbroken(miner)


async def test_a_connection_lost_in_the_middle_of_a_job_is_opened_again(scene: Scene) -> None:
    miner, job = PublishedMiner(answer=lambda payload: []), request()
    async with scene(miner) as facilitator:
        await facilitator.send(job)
        payload = await miner.receives(JobPayload)
        logins = miner.logins
        await miner._jobs[job.uuid].connections[0].close()
        await miner.until(lambda: miner.logins > logins)
        await miner.report(*obliging(payload))
        assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
        await miner.receives(FinishedReceiptIssued)
    assert_unbroken(miner)


@pytest.mark.django_db(transaction=True)
async def test_a_job_declined_before_a_restart_is_not_offered_to_that_miner_after_it() -> None:
    miner, other, job = (
        PublishedMiner(occupied=1, busy_seconds=0.1),
        PublishedMiner(keypair=OTHER_MINER, answer=lambda payload: []),
        request(),
    )
    filler, facilitator = request(), FacilitatorPeer()
    async with serving(facilitator, miner, other):
        await in_database(remember, miner, other)
        patient = {"queue_seconds": 60.0}
        async with listening(facilitator, **patient):
            await other.until(lambda: other.logins)
            await miner.until(lambda: miner.logins)
            await facilitator.until(lambda: facilitator.logins)
            # The other miner is busy with this one, wherever it was offered first.
            await facilitator.send(filler)
            payload = await other.receives(JobPayload)
            await facilitator.send(job)
            await miner.until(lambda: job.uuid in {one.job_uuid for one in miner.all(JobOffered)})

            async def is_declined() -> bool:
                return not (await row_of(job.uuid)).miner

            await eventually(is_declined)
        other.answer = obliging
        async with listening(facilitator, **patient):
            await other.until(lambda: other.logins > 2)
            await other.report(*obliging(payload))
            assert (await facilitator.receives_end(job.uuid)).status is JobState.COMPLETED
            assert (await row_of(job.uuid)).miner == other.hotkey
            await other.until(lambda: len(other.all(FinishedReceiptIssued)) == 2)
    assert len(miner.all(JobOffered)) == len({one.job_uuid for one in miner.all(JobOffered)})
    assert_unbroken(miner, other)


async def test_a_published_miner_that_cannot_be_reached_again_holds_no_job(scene: Scene) -> None:
    miner, job = PublishedMiner(answer=lambda payload: []), request()
    async with scene(miner, miner_absence_seconds=0.3) as facilitator:
        await facilitator.send(job)
        await miner.receives(JobPayload)
        await miner.stop()
        end = await facilitator.receives_end(job.uuid)
        details = end.metadata.horde_failure_details
        assert details.reason is HordeReason.MINER_CONNECTION_FAILED
    assert not miner.all(JobFinished)
