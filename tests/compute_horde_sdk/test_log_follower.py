"""While a job is waited for, its output is passed to the callback."""

import asyncio

import pytest

from compute_horde_sdk import log_follower
from compute_horde_sdk.log_follower import LogFollower
from tests.compute_horde_sdk.pretend import ON_THE_WAY, finished, steps

PRINTED = [{"stream": "stdout", "text": "a"}, {"stream": "stdout", "text": "b"}]


async def waited(client, spec, callback, seen=None):
    job = await client.create_job(spec)
    async with LogFollower(callback) as follows:
        await job.wait(30, follows.wrap_status_callback(seen))
    return job


async def test_pieces_are_handed_over_and_statuses_still_told(client, spec, server):
    server.log = PRINTED
    texts, statuses = [], []

    async def status(job, entry):
        statuses.append(entry.status.value)

    await waited(client, spec, lambda piece: texts.append(piece.text), status)
    assert texts == ["a", "b"]
    assert statuses == ["sent", *ON_THE_WAY, "completed"]


async def test_when_the_result_has_no_more_nobody_waits_for_the_end_of_the_log(
    client, spec, server, monkeypatch
):
    monkeypatch.setattr(log_follower, "QUIET_SECONDS", 60)
    server.script = steps(*ON_THE_WAY, end=(0.5, "completed", finished("ab")))
    server.log, server.log_goes_on = PRINTED, True
    texts = []
    async with asyncio.timeout(30):
        await waited(client, spec, lambda piece: texts.append(piece.text))
    assert texts == ["a", "b"]


async def test_where_there_are_no_logs_nothing_is_handed_over(client, spec):
    await waited(client, spec, pytest.fail)


async def test_a_job_that_never_ran_has_no_log(client, spec, server):
    server.script = steps("received", end=(0, "rejected", {}))
    server.log = PRINTED
    await waited(client, spec, pytest.fail)
    assert not [one for one in server.requests if "/logs" in one[1]]


async def test_a_log_that_is_silent_after_the_end_is_left(client, spec, server, monkeypatch):
    monkeypatch.setattr(log_follower, "QUIET_SECONDS", 0.2)
    server.log, server.log_goes_on = PRINTED, True
    texts = []
    await waited(client, spec, lambda piece: texts.append(piece.text))
    assert texts == ["a", "b"]


async def test_a_callback_s_error_is_not_swallowed(client, spec, server):
    server.log = PRINTED

    def broken(piece):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await waited(client, spec, broken)


async def test_an_interrupted_wait_reads_no_further(client, spec, server):
    server.script = steps(*ON_THE_WAY, end=(60, "completed", finished()))
    server.log, server.log_goes_on = PRINTED, True
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(1):
            await waited(client, spec, lambda piece: None)
