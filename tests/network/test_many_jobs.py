"""Many jobs at once share the executors there are."""

import asyncio

from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell


async def test_twenty_jobs_through_four_executors_all_end_and_none_runs_twice(
    network: Running,
) -> None:
    client = network.client()
    specs = [shell(f"echo {n}") for n in range(20)]
    jobs = await asyncio.gather(*(client.create_job(one) for one in specs))
    await asyncio.gather(*(job.wait(timeout=ENDS_WITHIN_SECONDS) for job in jobs))
    assert [job.status.value for job in jobs] == ["completed"] * 20
    assert [job.result.stdout for job in jobs] == [f"{n}\n" for n in range(20)]
    uuids = [job.uuid for job in jobs]
    query = (
        "SELECT count(*) FROM miner_jobevent WHERE state = 'accepted' AND job_id = ANY(%s::uuid[])"
    )
    assert network.rows("miner", query, uuids) == [(20,)]
