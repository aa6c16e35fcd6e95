"""A job in memory is itself, whatever another one looks like."""

from time import monotonic
from uuid import uuid4

from compute_horde.vocabulary import JobState
from miner.jobs.live_job import LiveJob
from tests.miner.conftest import MINER, VALIDATOR
from tests.miner.peers import ValidatorPeer

OFFER = ValidatorPeer(None, VALIDATOR, MINER.ss58_address).offer(str(uuid4()))


def test_a_job_is_known_by_the_uuid_of_its_offer_and_starts_as_received():
    before = monotonic()
    job = LiveJob(OFFER, MINER, VALIDATOR.ss58_address, None)
    assert job.uuid == OFFER.job_uuid
    assert (job.state, job.stored_state) == (JobState.RECEIVED, JobState.RECEIVED)
    assert before <= job.started_at <= monotonic()
    assert not job.stored.is_set()
    assert not job.is_cancelled


def test_two_jobs_of_the_same_offer_are_two():
    first, second = (
        LiveJob(OFFER, MINER, VALIDATOR.ss58_address, None, started_at=1) for _ in range(2)
    )
    assert first != second
    assert len({first, second}) == 2
    first.stored.set()
    assert not second.stored.is_set()
