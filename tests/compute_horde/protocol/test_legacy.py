"""Messages of older peers are converted to current ones."""

import pytest

from compute_horde.protocol import links
from compute_horde.protocol.job import HordeFailed, JobFailed
from compute_horde.vocabulary import FailureReason, HordeReason, Party, Stage
from tests.compute_horde.vectors import JOB, VECTORS, compact

FAILED, NOT_READY = "V0ExecutorFailedRequest", "V0StreamingJobNotReadyRequest"


def old(tag: str) -> str:
    return compact(VECTORS["messages"][f"{tag}(deprecated)"][0])


@pytest.mark.parametrize(
    ("tag", "reason"),
    [(FAILED, HordeReason.GENERIC_ERROR), (NOT_READY, HordeReason.STREAMING_FAILED)],
)
def test_a_validator_blames_the_miner_for_an_old_failure(tag, reason):
    received = links.MINER_TO_VALIDATOR.decode(old(tag))
    assert isinstance(received, HordeFailed)
    assert (received.job_uuid, received.reported_by, received.reason) == (JOB, Party.MINER, reason)


def test_a_miner_hears_that_an_old_executor_failed():
    received = links.EXECUTOR_TO_MINER.decode(old(FAILED))
    assert isinstance(received, HordeFailed)
    assert (received.reported_by, received.reason) == (Party.EXECUTOR, HordeReason.GENERIC_ERROR)


def test_a_miner_blames_the_job_when_an_old_executor_could_not_stream():
    received = links.EXECUTOR_TO_MINER.decode(old(NOT_READY))
    assert isinstance(received, JobFailed)
    assert (received.stage, received.reason) == (Stage.STREAMING_STARTUP, FailureReason.UNKNOWN)
