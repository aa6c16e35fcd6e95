"""Limits on the jobs of one signer, and on stored refusals."""

from uuid import uuid4

import pytest

from compute_horde import faults
from compute_horde.django.database import in_database
from compute_horde.errors import RejectionError
from compute_horde.faults import Cause
from compute_horde.protocol.job import JobAccepted, JobDeclined, JobOffered
from compute_horde.vocabulary import JobState, RejectionReason
from compute_horde.volumes import InlineVolume, MultiVolume
from tests.peers.keys import STRANGER
from tests.peers.miner import MinerPeer, offered_then
from tests.peers.user import request
from tests.validator.conftest import Scene
from validator.jobs import quotas
from validator.jobs.live_job import REJECTED_SPEC_CHARACTERS, LiveJob
from validator.jobs.models import Job
from validator.jobs.quotas import SignerQuota


def live(kind: Job.Kind = Job.Kind.ORGANIC, signer=None, **fields: bool) -> LiveJob:
    return LiveJob(request(signer=signer, **fields) if signer else request(**fields), kind)


def test_a_signer_may_have_so_many_jobs_in_flight_whatever_others_have() -> None:
    quota, mine = SignerQuota(in_flight=2, per_minute=100), live()
    others = [live(signer=STRANGER), live(signer=STRANGER), live(Job.Kind.ADMIN)]
    quota.take(mine.signatory, [mine, *others], 0.0)
    with pytest.raises(RejectionError, match=r"2 of signer .* are in flight here") as refused:
        quota.take(mine.signatory, [mine, live(), *others], 0.0)
    assert refused.value.reason is RejectionReason.BUSY
    assert refused.value.context == Cause.QUOTA.context


def test_a_signer_may_have_fewer_jobs_at_once_on_the_trusted_miner() -> None:
    """A miner that hires a user could keep it busy, so that it checks nobody."""
    quota = SignerQuota(in_flight=100, per_minute=100, trusted_in_flight=1)
    mine, others = live(on_trusted_miner=True), live(on_trusted_miner=True, signer=STRANGER)
    signer = mine.signatory
    quota.take(signer, [live(), others], 0.0, on_trusted_miner=True)
    quota.take(signer, [mine], 0.0)
    with pytest.raises(RejectionError, match=r"1 of signer .* are on the trusted miner") as refused:
        quota.take(signer, [mine], 0.0, on_trusted_miner=True)
    assert refused.value.context == Cause.QUOTA.context


def test_a_signer_may_start_so_many_jobs_per_minute() -> None:
    quota = SignerQuota(in_flight=100, per_minute=2)
    for _ in range(2):
        quota.take("a", [], 0.0)
    with pytest.raises(RejectionError, match="may start 2 per minute"):
        quota.take("a", [], 1.0)
    quota.take("b", [], 1.0)
    quota.take("a", [], 31.0)


async def test_one_job_too_many_is_rejected_with_whose_fault_it_is_and_then_taken(
    scene: Scene,
) -> None:
    miner = MinerPeer(offered_then(JobAccepted))
    async with scene(miner, max_jobs_in_flight=1) as facilitator:
        first, second = request(), request()
        await facilitator.send(first)
        await facilitator.until(lambda: "accepted" in facilitator.states(first.uuid))
        await facilitator.send(second)
        end = await facilitator.receives_end(second.uuid)
        details = end.metadata.job_rejection_details
        assert (end.status, details.reason) == (JobState.REJECTED, RejectionReason.BUSY)
        assert "1 of signer" in details.message
        declined = JobDeclined(job_uuid=second.uuid, reason=details.reason, context=details.context)
        assert declined.context == Cause.QUOTA.context
        assert faults.CAUSES[Cause.QUOTA].worth_another_try
        # A job that was accepted once is never reported as refused.
        received = facilitator.states(first.uuid)
        await facilitator.send(first)
        await facilitator.until(lambda: facilitator.states(first.uuid) == received + received)
    assert [one.job_uuid for one in miner.all(JobOffered)] == [first.uuid]


async def test_refused_jobs_are_told_but_not_kept_without_bound(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "REJECTIONS_AT_ONCE", 2)
    async with scene() as facilitator:
        for n in range(5):
            job = request(signer=STRANGER)
            await facilitator.send(job)
            assert (await facilitator.receives_end(job.uuid)).status is JobState.REJECTED
            assert await in_database(Job.objects.count) == min(n + 1, 2)


def test_of_a_refused_job_little_is_kept() -> None:
    long = request(signer=STRANGER).model_copy(
        update={
            "volume": MultiVolume(volumes=[InlineVolume(contents="A" * 500_000)]),
            "docker_image": "x" * 100_000,
            "uuid": str(uuid4()),
        }
    )
    row = LiveJob(long, Job.Kind.ORGANIC).rejected_row()
    assert len(row.spec) <= REJECTED_SPEC_CHARACTERS
    assert row.request.uuid == long.uuid
    short = LiveJob(request(), Job.Kind.ORGANIC)
    assert short.rejected_row().spec == short.request.encode()
