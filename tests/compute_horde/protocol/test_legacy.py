"""What old peers say is heard in today's words."""

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
    heard = links.MINER_TO_VALIDATOR.decode(old(tag))
    assert isinstance(heard, HordeFailed)
    assert (heard.job_uuid, heard.reported_by, heard.reason) == (JOB, Party.MINER, reason)


def test_a_miner_hears_that_an_old_executor_failed():
    heard = links.EXECUTOR_TO_MINER.decode(old(FAILED))
    assert isinstance(heard, HordeFailed)
    assert (heard.reported_by, heard.reason) == (Party.EXECUTOR, HordeReason.GENERIC_ERROR)


def test_a_miner_blames_the_job_when_an_old_executor_could_not_stream():
    heard = links.EXECUTOR_TO_MINER.decode(old(NOT_READY))
    assert isinstance(heard, JobFailed)
    assert (heard.stage, heard.reason) == (Stage.STREAMING_STARTUP, FailureReason.UNKNOWN)
