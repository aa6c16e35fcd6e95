"""Time not used in one stage carries over to the next."""

import asyncio

import pytest

from compute_horde.errors import HordeError
from compute_horde.protocol.job import StreamingDetails
from executor.deadlines import StageDeadlines
from tests.peers.executors_miner import TIMING, offer


async def test_each_stage_moves_the_deadline_on_by_its_own_limit():
    now = asyncio.get_running_loop().time()
    deadlines = StageDeadlines.from_offer(offer("x"))
    limits = [deadlines.download().when(), deadlines.execution().when(), deadlines.upload().when()]
    assert limits == [pytest.approx(now + n, abs=0.1) for n in (5 + 10, 15 + 20, 35 + 10)]


async def test_the_container_never_runs_longer_than_its_own_limit():
    deadlines = StageDeadlines.from_offer(offer("x"))
    deadlines.download()
    deadlines.execution()
    assert deadlines.run_seconds() == TIMING.execution_time_limit


async def test_an_old_offer_has_one_limit_for_everything():
    now = asyncio.get_running_loop().time()
    deadlines = StageDeadlines.from_offer(offer("x", executor_timing=None, timeout_seconds=30))
    limits = [deadlines.download().when(), deadlines.execution().when(), deadlines.upload().when()]
    assert limits == [pytest.approx(now + 30, abs=0.1)] * 3
    assert deadlines.run_seconds() == pytest.approx(30, abs=0.1)


async def test_an_offer_without_any_limit_is_refused():
    with pytest.raises(HordeError, match="no time limits"):
        StageDeadlines.from_offer(offer("x", executor_timing=None))


async def test_a_month_is_no_ceiling():
    month = TIMING.model_copy(update={"execution_time_limit": 30 * 86400})
    deadlines = StageDeadlines.from_offer(offer("x", executor_timing=month))
    deadlines.download()
    deadlines.execution()
    assert deadlines.run_seconds() == 30 * 86400


async def test_a_streaming_job_has_time_to_start_besides():
    now = asyncio.get_running_loop().time()
    timing = TIMING.model_copy(update={"streaming_start_time_limit": 7})
    details = StreamingDetails(public_key="PEM")
    deadlines = StageDeadlines.from_offer(
        offer("x", executor_timing=timing, streaming_details=details)
    )
    deadlines.download()
    assert deadlines.execution().when() == pytest.approx(now + 15 + 7 + 20, abs=0.1)
    assert deadlines.start_seconds() == pytest.approx(15 + 7, abs=0.1)
    assert deadlines.run_seconds() == 20 + 7
