"""The stream of a job's statuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from facilitator.jobs import status_stream
from facilitator.jobs.status_feed import feed_registry
from tests.eventually import eventually
from tests.peers.api_user import User
from tests.peers.validator import result


class Stream:
    """A client that reads an event stream."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self._chunks = aiter(response)

    async def chunk(self) -> str:
        async with asyncio.timeout(30):
            return (await anext(self._chunks)).decode()

    async def next(self) -> dict[str, Any]:
        """The next event, whatever signs of life come before it."""
        while True:
            lines = (await self.chunk()).strip().splitlines()
            event = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in event:
                return event | {"data": json.loads(event["data"])}

    async def states(self) -> list[str]:
        """All statuses up to the end."""
        found = []
        while "event" not in (event := await self.next()):
            found.append(event["data"]["status"])
        assert event["event"] == "end"
        with pytest.raises(StopAsyncIteration):
            await self.chunk()
        return [*found, event["data"]["status"]]


@asynccontextmanager
async def streaming(user: User, uuid: str, after: Any = None) -> AsyncIterator[Stream]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    response = await user.get(f"/api/v1/jobs/{uuid}/events", headers)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/event-stream"
    stream = Stream(response)
    try:
        yield stream
    finally:
        response.close()


async def nobody_reads() -> None:
    """Wait until every abandoned stream is closed."""
    await eventually(lambda: not feed_registry.count())


@pytest.fixture
async def uuid(user, line) -> str:
    made = (await user.create()).json()["uuid"]
    await line.receive()
    return made


async def test_each_status_comes_as_an_event_as_the_job_object_shows_it(user, line, uuid):
    async with streaming(user, uuid) as stream:
        sent = await stream.next()
        assert sent["data"]["status"] == "sent"
        await line.report(uuid, "received")
        received = await stream.next()
        assert int(received["id"]) > int(sent["id"])
        await line.report(uuid, "completed", **result("out"))
        assert (await stream.next())["data"]["metadata"] == result("out")
        assert await stream.next() == {"event": "end", "data": {"status": "completed"}}
        with pytest.raises(StopAsyncIteration):
            await stream.chunk()
    shown = (await user.job(uuid))["status_history"]
    assert [sent["data"], received["data"]] == shown[:2]


async def test_a_status_is_pushed_at_once(user, line, uuid):
    async with streaming(user, uuid) as stream:
        await stream.next()
        waiting = asyncio.create_task(stream.next())
        await asyncio.sleep(0.05)
        await line.send_status(uuid, "horde_failed")
        # Long before the next heartbeat, with which it would be found as well.
        async with asyncio.timeout(status_stream.HEARTBEAT_SECONDS / 2):
            assert (await waiting)["data"]["status"] == "horde_failed"


async def test_a_stream_resumes_after_the_last_event_seen(user, line, uuid):
    async with streaming(user, uuid) as stream:
        await stream.next()
        await line.report(uuid, "received")
        seen = (await stream.next())["id"]
    await line.report(uuid, "accepted")
    async with streaming(user, uuid, seen) as stream:
        assert (await stream.next())["data"]["status"] == "accepted"
        await line.report(uuid, "failed")
        assert await stream.states() == ["failed", "failed"]


async def test_a_finished_job_is_sent_whole_and_ends(user, line, uuid):
    await line.report(uuid, "received")
    await line.report(uuid, "rejected")
    async with streaming(user, uuid) as stream:
        assert await stream.states() == ["sent", "received", "rejected", "rejected"]


async def test_a_reader_who_saw_the_end_gets_only_the_end(user, line, uuid):
    await line.report(uuid, "rejected")
    async with streaming(user, uuid) as stream:
        await stream.next()
        last = (await stream.next())["id"]
    async with streaming(user, uuid, last) as stream:
        assert await stream.states() == ["rejected"]


@pytest.mark.parametrize("after", ["", "x", "-1"])
async def test_a_strange_last_event_id_means_the_beginning(after, user, line, uuid):
    await line.report(uuid, "rejected")
    async with streaming(user, uuid, after) as stream:
        assert await stream.states() == ["sent", "rejected", "rejected"]


async def test_late_statuses_are_not_sent_since_the_last_event_is_the_present_state(
    user, line, uuid
):
    async with streaming(user, uuid) as stream:
        for state in ("executor_ready", "received", "completed"):
            await line.report(uuid, state)
        assert await stream.states() == ["sent", "executor_ready", "completed", "completed"]
    async with streaming(user, uuid) as stream:
        assert await stream.states() == ["sent", "executor_ready", "completed", "completed"]


async def test_a_quiet_stream_shows_signs_of_life(user, line, uuid, monkeypatch):
    monkeypatch.setattr(status_stream, "HEARTBEAT_SECONDS", 0.02)
    async with streaming(user, uuid) as stream:
        await stream.next()
        assert (await stream.chunk()).startswith(":")
        assert (await stream.chunk()).startswith(":")
        await line.report(uuid, "failed")
        assert await stream.states() == ["failed", "failed"]


async def test_only_the_owner_may_listen(user, stranger, line, uuid):
    answer = await stranger.get(f"/api/v1/jobs/{uuid}/events")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    stranger.token = "x"
    assert (await stranger.get(f"/api/v1/jobs/{uuid}/events")).status_code == 401
    assert (await user.get("/api/v1/jobs/x/events")).status_code == 404
    assert feed_registry.count() == 0


async def test_a_user_may_hold_so_many_streams(user, stranger, line, uuid, configure):
    configure(max_streams=2)
    async with streaming(user, uuid), streaming(user, uuid):
        answer = await user.get(f"/api/v1/jobs/{uuid}/events")
        assert answer.status_code == 429
        assert "2 event streams" in answer.json()["details"]
        other = (await stranger.create()).json()["uuid"]
        async with streaming(stranger, other):
            assert feed_registry.count() == 3
    await nobody_reads()
    async with streaming(user, uuid):
        assert feed_registry.count(user.hotkey) == 1


async def test_a_process_that_stops_lets_its_readers_go(user, line, uuid):
    async with streaming(user, uuid) as stream:
        await stream.next()
        feed_registry.stop()
        with pytest.raises(StopAsyncIteration):
            await stream.chunk()


async def test_two_readers_of_one_job_get_the_same(user, line, uuid):
    async with streaming(user, uuid) as one, streaming(user, uuid) as two:
        await line.report(uuid, "completed")
        assert await one.states() == await two.states() == ["sent", "completed", "completed"]


async def test_a_user_who_is_refused_hears_when_to_try_again(user, line, uuid, configure):
    configure(max_streams=1)
    async with streaming(user, uuid):
        answer = await user.get(f"/api/v1/jobs/{uuid}/events")
        assert (answer.status_code, answer["Retry-After"]) == (429, "2")


async def test_five_hundred_and_twelve_users_of_one_hotkey_may_wait(user, line, uuid):
    feeds = [feed_registry.open("another job", user.hotkey) for _ in range(511)]
    try:
        async with streaming(user, uuid) as stream:
            assert (await stream.next())["data"]["status"] == "sent"
            assert (await user.get(f"/api/v1/jobs/{uuid}/events")).status_code == 429
    finally:
        for feed in feeds:
            feed_registry.close(feed)


async def test_streams_take_half_of_all_connections_and_a_newcomer_gets_a_part(
    user, stranger, line, uuid, configure
):
    configure(max_connections=4)
    other = (await stranger.create()).json()["uuid"]
    async with streaming(user, uuid) as first, streaming(user, uuid) as second:
        await first.next()
        await second.next()
        answer = await user.get(f"/api/v1/jobs/{uuid}/events")
        assert answer.status_code == 429
        assert "2 of all users together" in answer.json()["details"]
        async with streaming(stranger, other) as newcomer:
            assert (await newcomer.next())["data"]["status"] == "sent"
            with pytest.raises(StopAsyncIteration):
                await second.chunk()
            await line.report(uuid, "failed")
            assert await first.states() == ["failed", "failed"]


async def test_a_long_result_is_written_in_pieces(user, line, uuid):
    await line.report(uuid, "completed", **result("x" * 300_000))
    async with streaming(user, uuid) as stream:
        pieces = []
        while "event: end" not in (piece := await stream.chunk()):
            pieces.append(piece)
    assert max(map(len, pieces)) == 2**16
    *_, data, _, _ = "".join(pieces).split("\n")
    shown = json.loads(data.removeprefix("data: "))
    assert shown["metadata"]["miner_response"]["docker_process_stdout"] == "x" * 300_000
    assert feed_registry.unsent_bytes == 0


async def test_a_stream_that_is_cut_in_the_middle_of_an_event_ends_without_an_end(user, line, uuid):
    await line.report(uuid, "completed", **result("x" * 300_000))
    async with streaming(user, uuid) as stream:
        for _ in range(3):
            await stream.chunk()
        [feed] = feed_registry._feeds[uuid]
        feed.cut()
        with pytest.raises(StopAsyncIteration):
            await stream.chunk()


async def test_a_status_that_was_stored_but_not_published_is_found_by_a_quiet_stream(
    user, line, uuid, monkeypatch
):
    monkeypatch.setattr(status_stream, "HEARTBEAT_SECONDS", 0.02)
    async with streaming(user, uuid) as stream:
        with monkeypatch.context() as lost:
            lost.setattr(feed_registry, "publish", lambda uuid, events: None)
            await line.report(uuid, "failed")
        assert await stream.states() == ["sent", "failed", "failed"]
