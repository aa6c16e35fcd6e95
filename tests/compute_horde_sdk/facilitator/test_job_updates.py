"""Updates of one job: by event stream where there is one, by polling where there is none."""

import asyncio
import logging
from contextlib import aclosing

import pytest
from aiohttp import web

from compute_horde.errors import ProtocolError
from compute_horde_sdk.errors import FacilitatorUnreachable, RequestRefused
from compute_horde_sdk.facilitator import http, job_updates
from compute_horde_sdk.facilitator.job_updates import JobWatcher
from compute_horde_sdk.job_status import ComputeHordeJobStatusEntry, JobProgress
from compute_horde_sdk.v1 import ComputeHordeClient
from tests.compute_horde_sdk.pretend import ON_THE_WAY, USER, VALIDATOR, steps

ALL = ["sent", *ON_THE_WAY, "completed"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_updates, "FIRST_POLL_SECONDS", 0.02)
    monkeypatch.setattr(http, "wait_before_next", lambda attempt: 0.01)
    monkeypatch.setattr(job_updates, "wait_before_next", lambda attempt: 0.01)


async def first(watcher, count):
    """The first updates of a job."""
    found = []
    async with asyncio.timeout(10), aclosing(watcher.updates()) as updates:
        async for update in updates:
            found.append(update)
            if len(found) == count:
                break
    return found


async def test_pushed_statuses_come_once_and_then_the_whole_job(client, server, spec):
    job = await client.create_job(spec)
    server.stream_breaks = [2, 1]
    updates = await first(JobWatcher(client.facilitator, job.uuid), len(ALL) + 3)
    pushed = [one for one in updates if isinstance(one, ComputeHordeJobStatusEntry)]
    polled = [one for one in updates if isinstance(one, dict)]
    assert [entry.status.value for entry in pushed] == ALL
    assert server.resumed_from[:3] == [None, "2", "3"]
    # One poll after each of the streams that broke, and after the one that ended.
    assert [one["uuid"] for one in polled] == [job.uuid] * 3
    assert isinstance(updates[-1], dict)


async def test_a_facilitator_without_streams_is_polled_and_that_is_said_once(client, server, spec):
    server.pushes = False
    notices = []
    client.facilitator.on_notice = notices.append
    job = await client.create_job(spec)
    updates = await first(JobWatcher(client.facilitator, job.uuid), 3)
    assert [one["uuid"] for one in updates] == [job.uuid] * 3
    assert client.facilitator.pushes is False
    (notice,) = notices
    assert "no stream of status updates" in notice


async def test_pauses_between_polls_double_up_to_a_limit(client, server, spec, monkeypatch):
    monkeypatch.setattr(job_updates, "FIRST_POLL_SECONDS", 0.5)
    client.facilitator.pushes = False
    job = await client.create_job(spec)
    paused = []
    real = asyncio.sleep

    async def sleep(seconds):
        paused.append(seconds)
        await real(0)

    monkeypatch.setattr(job_updates.asyncio, "sleep", sleep)
    await first(JobWatcher(client.facilitator, job.uuid), 6)
    # The HTTP client lets others run by pauses of 0.
    assert [one for one in paused if one] == [0.5, 1.0, 2.0, 3.0, 3.0]


async def test_a_stream_without_updates_is_checked_by_a_poll(client, server, spec, monkeypatch):
    monkeypatch.setattr(job_updates, "SAFETY_POLL_SECONDS", 0.05)
    server.script = steps("received")
    job = await client.create_job(spec)
    *entries, polled = await first(JobWatcher(client.facilitator, job.uuid), 3)
    assert [entry.status.value for entry in entries] == ["sent", "received"]
    assert polled["uuid"] == job.uuid


async def test_a_lost_connection_is_reported_as_a_problem(client, server, spec):
    problems = []
    client.facilitator.on_problem = problems.append
    job = await client.create_job(spec)
    server.stream_breaks = [1]
    await first(JobWatcher(client.facilitator, job.uuid), 2)
    assert "the connection for status updates is lost; trying again" in problems


async def test_an_outage_ends_the_updates_after_a_limit(client, server, spec, monkeypatch):
    job = await client.create_job(spec)
    client.facilitator.pushes = False
    watcher = JobWatcher(client.facilitator, job.uuid)
    server.faults["GET /api/v1/jobs"] = [503] * 20
    assert [one["uuid"] for one in await first(watcher, 1)] == [job.uuid]
    server.faults["GET /api/v1/jobs"] = [503] * 1000
    monkeypatch.setattr(job_updates, "MAX_OUTAGE_SECONDS", -1)
    with pytest.raises(FacilitatorUnreachable, match=f"compute-horde job {job.uuid}"):
        await first(watcher, 1)


async def test_a_refusal_that_does_not_pass_ends_the_updates(client, server, spec):
    job = await client.create_job(spec)
    client.facilitator.pushes = False
    server.faults["GET /api/v1/jobs"] = [403]
    with pytest.raises(RequestRefused):
        await first(JobWatcher(client.facilitator, job.uuid), 1)


async def test_a_refused_stream_is_asked_for_again_after_the_time_that_the_facilitator_names(
    client, server, spec, monkeypatch, caplog
):
    job = await client.create_job(spec)
    paused = []
    real = asyncio.sleep

    async def sleep(seconds):
        paused.append(seconds)
        await real(0)

    monkeypatch.setattr(job_updates.asyncio, "sleep", sleep)
    server.errors[429] = {"details": "at most 512 event streams at once"}
    server.fault_headers = {"Retry-After": "2"}
    server.faults[f"GET /api/v1/jobs/{job.uuid}/events"] = [429, 429]
    with caplog.at_level(logging.DEBUG, job_updates.__name__):
        updates = await first(JobWatcher(client.facilitator, job.uuid), len(ALL) + 2)
    # One poll for each refusal, then all by the stream.
    assert [isinstance(one, dict) for one in updates] == [True, True] + [False] * len(ALL)
    assert [2.0 <= one <= 2.5 for one in paused if one] == [True, True]
    refusals = [record for record in caplog.records if "refused" in record.message]
    assert [record.levelname for record in refusals] == ["DEBUG", "DEBUG"]
    assert "at most 512 event streams" in refusals[0].cause


@pytest.mark.parametrize(("asked", "shortest", "longest"), [("0", 0.5, 0.625), ("9999", 30, 30)])
async def test_no_facilitator_makes_a_client_hurry_or_wait_for_ever(
    asked, shortest, longest, client, server, spec
):
    job = await client.create_job(spec)
    server.fault_headers = {"Retry-After": asked}
    server.faults[f"GET /api/v1/jobs/{job.uuid}/events"] = [429]
    watcher = JobWatcher(client.facilitator, job.uuid)
    await first(watcher, 1)
    assert shortest <= watcher._pause() <= longest


async def test_a_refusal_without_a_time_is_followed_by_the_usual_pause(client, server, spec):
    job = await client.create_job(spec)
    server.faults[f"GET /api/v1/jobs/{job.uuid}/events"] = [429]
    watcher = JobWatcher(client.facilitator, job.uuid)
    await first(watcher, 1)
    assert watcher._pause() == 0.01


async def scripted(events, job, stream=None):
    """A facilitator that sends fixed events, and `job` when polled; its client."""

    async def fixed(request):
        return web.Response(text=events, content_type="text/event-stream")

    async def read(request):
        return web.json_response(job)

    async def login(request):
        return web.json_response({"nonce": "n:1:x", "token": "t"})

    app = web.Application()
    app.router.add_get("/auth/nonce", login)
    app.router.add_post("/auth/login", login)
    app.router.add_get("/api/v1/jobs/{uuid}/events", stream or fixed)
    app.router.add_get("/api/v1/jobs/{uuid}/", read)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    return runner, ComputeHordeClient(USER, VALIDATOR, facilitator_url=f"http://127.0.0.1:{port}/")


SENT = 'data: {"status": "sent", "created_at": "2026-01-01T00:00:00Z"}\n\n'


async def test_progress_is_passed_on_and_unknown_events_are_passed_over():
    events = (
        'event: progress\ndata: {"stage": "s", "what": "image", "done_bytes": 5}\n\n'
        "event: progress\ndata: {\n\n"
        "event: news\ndata: 1\n\n"
        'data: {"status": "brand_new", "created_at": "2026-01-01T00:00:00Z"}\n\n'
    )
    runner, client = await scripted(events + SENT, {"uuid": "u"})
    async with client:
        progress, entry, polled = await first(JobWatcher(client.facilitator, "u"), 3)
    await runner.cleanup()
    assert progress == JobProgress("s", "image", 5)
    assert entry.status.value == "sent"
    assert polled == {"uuid": "u"}


async def test_heartbeats_keep_a_quiet_stream_open(monkeypatch):
    monkeypatch.setattr(job_updates, "SAFETY_POLL_SECONDS", 1.0)

    async def beats(request):
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for _ in range(15):
            await answer.write(b": still here\n\n")
            await asyncio.sleep(0.1)
        await answer.write(SENT.encode())
        return answer

    runner, client = await scripted("", {"uuid": "u"}, stream=beats)
    # On a machine that stands still for a moment a stream may be lost, but the next is not.
    watched = aclosing(JobWatcher(client.facilitator, "u").updates())
    async with client, asyncio.timeout(60), watched as updates:
        async for update in updates:
            if not isinstance(update, dict):
                break
    await runner.cleanup()
    assert update.status.value == "sent"


async def test_a_stream_that_was_quiet_for_long_is_no_outage():
    runner, client = await scripted(": still here\n\n", {"uuid": "u"})
    async with client:
        watcher = JobWatcher(client.facilitator, "u")
        watcher._last_received = float("-inf")
        assert [entry async for entry in watcher._events_until_disconnect()] == []
        watcher._raise_unless_temporary(FacilitatorUnreachable("for a moment"))
    await runner.cleanup()


async def test_a_stream_with_nothing_but_heartbeats_is_checked_by_a_poll_now_and_then(monkeypatch):
    monkeypatch.setattr(job_updates, "QUIET_POLL_SECONDS", 0.2)

    async def beats(request):
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        while True:
            await answer.write(b": still here\n\n")
            await asyncio.sleep(0.02)

    runner, client = await scripted("", {"uuid": "u"}, stream=beats)
    async with client:
        assert await first(JobWatcher(client.facilitator, "u"), 1) == [{"uuid": "u"}]
    await runner.cleanup()


async def test_a_malformed_status_ends_the_stream_and_a_poll_follows():
    runner, client = await scripted("data: {\n\n" + SENT, {"uuid": "u"})
    async with client:
        assert await first(JobWatcher(client.facilitator, "u"), 1) == [{"uuid": "u"}]
    await runner.cleanup()


async def test_a_polled_answer_that_is_no_job_is_refused():
    runner, client = await scripted("", ["no job"])
    async with client:
        with pytest.raises(ProtocolError, match="not a job"):
            await first(JobWatcher(client.facilitator, "u"), 1)
    await runner.cleanup()
