"""Long work is accounted for interval by interval, whoever is killed meanwhile."""

from decimal import Decimal

import pytest

from compute_horde_sdk.v1 import ComputeHordeJob
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell, until

pytestmark = pytest.mark.usefixtures("containers")

Scores = list[tuple[int, Decimal]]


async def working(network: Running, seconds: int) -> ComputeHordeJob:
    """A job that works for so long."""
    script = f"echo began; sleep {seconds}; echo done"
    return await network.client().create_job(shell(script, execution_time_limit_sec=100))


def issued(network: Running, job: ComputeHordeJob) -> Scores:
    """Each interval the validator gave a receipt for, and what it is worth."""
    query = (
        "SELECT interval, score FROM receipts_issuedreceipt "
        "WHERE job_uuid = %s AND receipt_type = 'JobIntervalReceipt' ORDER BY id"
    )
    return [(number, score) for number, score in network.rows("validator", query, job.uuid)]


def finished(network: Running, job: ComputeHordeJob) -> list[Decimal]:
    query = (
        "SELECT score FROM receipts_issuedreceipt "
        "WHERE job_uuid = %s AND receipt_type = 'JobFinishedReceipt'"
    )
    return [score for (score,) in network.rows("validator", query, job.uuid)]


def kept(network: Running, job: ComputeHordeJob) -> list[int]:
    """The intervals that the miner has receipts for, signed by both."""
    query = (
        "SELECT interval FROM miner_receipt "
        "WHERE job_uuid = %s AND receipt_type = 'JobIntervalReceipt' ORDER BY interval"
    )
    return [number for (number,) in network.rows("miner", query, job.uuid)]


def executed(network: Running, job: ComputeHordeJob) -> float:
    """How many seconds it was at work, by the validator's clock."""
    query = "SELECT created_at FROM jobs_jobevent WHERE job_id = %s AND state = %s"
    (began,), (done,) = (
        network.rows("validator", query, job.uuid, state)[0]
        for state in ("volumes_ready", "execution_done")
    )
    return float((done - began).total_seconds())


async def test_a_listener_killed_twice_loses_no_interval_and_counts_none_twice(
    network: Running,
) -> None:
    job = await working(network, seconds=30)
    for intervals in (2, 8):
        await until(
            lambda wanted=intervals: len(issued(network, job)) >= wanted, "the job works on", 60
        )
        network.kill("validator-listen")
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    assert job.status == "completed", job.error
    assert job.result.stdout == "began\ndone\n"
    limits = 10 + 100 + 10
    await until(lambda: finished(network, job) == [limits], "the job is paid in full, once")
    scores = issued(network, job)
    numbers = [number for number, _ in scores]
    assert numbers == [*range(len(scores))]
    assert {score for _, score in scores} == {Decimal(1)}
    assert 12 <= len(scores) <= executed(network, job)
    await until(lambda: kept(network, job) == numbers, "the miner has all of them")
    query = "SELECT state FROM miner_jobevent WHERE job_id = %s ORDER BY id"
    assert network.rows("miner", query, job.uuid) == [
        ("accepted",),
        ("executor_ready",),
        ("volumes_ready",),
        ("execution_done",),
        ("completed",),
    ]


async def test_a_killed_miner_is_paid_for_the_intervals_it_worked(network: Running) -> None:
    job = await working(network, seconds=60)
    await until(lambda: len(issued(network, job)) >= 3, "the job works on", 60)
    network.kill("miner")
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    assert job.status == "horde_failed", job.error
    await until(lambda: len(finished(network, job)) == 1, "the job is settled")
    earned = sum(score for _, score in issued(network, job))
    assert finished(network, job) == [earned]
    assert earned >= 3
    again = await network.run(shell("echo again"))
    assert (again.status, again.result.stdout) == ("completed", "again\n"), again.error


async def test_a_limit_of_many_days_passes_every_hop(network: Running) -> None:
    day = 24 * 3600
    limits = {
        "download_time_limit_sec": day,
        "execution_time_limit_sec": 30 * day,
        "upload_time_limit_sec": day,
    }
    job = await network.run(shell("echo fine", **limits))
    assert (job.status, job.result.stdout) == ("completed", "fine\n"), job.error
    await until(lambda: finished(network, job) == [32 * day], "the job is paid in full")
