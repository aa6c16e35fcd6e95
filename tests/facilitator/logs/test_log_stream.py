"""The stream of a job's log."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from compute_horde.django.database import in_database
from facilitator.jobs import store
from facilitator.logs import ingest, log_stream
from facilitator.models import Job, JobPiece
from tests.eventually import eventually
from tests.facilitator.jobs.test_status_stream import Stream
from tests.peers.api_user import User
from tests.peers.validator import ValidatorAtFacilitator


@asynccontextmanager
async def reading(user: User, uuid: str, query: str = "", last: str = "") -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    response = await user.get(f"/api/v1/jobs/{uuid}/logs{query}", headers)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/event-stream"
    stream = Stream(response)
    try:
        yield stream
    finally:
        response.close()


async def text_of(stream: Stream) -> tuple[str, dict[str, Any]]:
    """All text up to the end, and the data of the end event."""
    found = ""
    while True:
        for block in (await stream.chunk()).split("\n\n"):
            lines = [line for line in block.splitlines() if line and not line.startswith(":")]
            event = dict(line.split(": ", 1) for line in lines)
            if event.get("event") == "end":
                return found, json.loads(event["data"])
            if "data" in event:
                found += json.loads(event["data"])["text"]


def piece(uuid: str, offset: int, text: str, stream: str = "stdout") -> dict[str, Any]:
    kind = "V0JobOutputRequest"
    fields = {"job_uuid": uuid, "offset": offset, "stream": stream, "text": text}
    return {"message_type": kind, **fields}


async def prints(line: ValidatorAtFacilitator, uuid: str, *texts: str) -> None:
    offset = 0
    for text in texts:
        await line.send(piece(uuid, offset, text))
        assert (await line.receive())["status"] == "success"
        offset += len(text.encode())


@pytest.fixture
async def uuid(user, line) -> AsyncIterator[str]:
    made = (await user.create()).json()["uuid"]
    await line.receive()
    yield made
    await ingest.writer.close()


async def test_pieces_come_as_they_are_printed_and_the_end_after_them(user, line, uuid):
    async with reading(user, uuid) as stream:
        waiting = asyncio.create_task(stream.next())
        await prints(line, uuid, "ä\n")
        data = {"stream": "stdout", "text": "ä\n"}
        assert await waiting == {"id": "3", "data": data}
        await line.send(piece(uuid, 3, "err", "stderr"))
        assert (await line.receive())["status"] == "success"
        assert (await stream.next())["data"] == {"stream": "stderr", "text": "err"}
        await line.report(uuid, "completed")
        end = {"status": "completed", "cursor": 6}
        assert await stream.next() == {"event": "end", "data": end}
        with pytest.raises(StopAsyncIteration):
            await stream.chunk()


async def test_a_log_is_read_from_any_place(user, line, uuid):
    await prints(line, uuid, "aö", "b")
    for query, last, wanted in (
        ("", "", "aöb"),
        ("?from=1", "", "öb"),
        ("?from=2", "", "öb"),
        ("?from=0", "3", "b"),
        ("?from=4", "", ""),
        ("?from=x", "", "aöb"),
        ("?from=-1", "", "aöb"),
    ):
        joiner = "&" if query else "?"
        async with reading(user, uuid, f"{query}{joiner}follow=false", last) as stream:
            assert await text_of(stream) == (wanted, {"status": "sent", "cursor": 4})


async def test_a_place_beyond_the_end_is_refused(user, line, uuid):
    await prints(line, uuid, "abc")
    answer = await user.get(f"/api/v1/jobs/{uuid}/logs?from=4")
    assert answer.status_code == 416
    assert "has 3 bytes so far" in answer.json()["details"]
    answer = await user.get(f"/api/v1/jobs/{uuid}/logs?from={'9' * 5000}")
    assert answer.status_code == 416
    assert ingest.reader_registry.count(user.hotkey) == 0


async def test_a_long_log_is_read_page_by_page(user, line, uuid):
    texts = [f"{number:05}" * 10_000 for number in range(40)]
    await prints(line, uuid, *texts)
    await line.report(uuid, "completed")
    async with reading(user, uuid) as stream:
        assert (await text_of(stream))[0] == "".join(texts)


async def test_repeats_are_acknowledged_and_gaps_are_marked(user, line, uuid):
    await prints(line, uuid, "abc")
    for one in (piece(uuid, 0, "abc"), piece(uuid, 10, "later")):
        await line.send(one)
        assert (await line.receive())["status"] == "success"
    async with reading(user, uuid, "?follow=false") as stream:
        text = "abc\n[7 bytes of the output were lost]\nlater"
        assert (await text_of(stream))[0] == text


async def test_a_validator_speaks_of_its_own_jobs_only(user, line, uuid):
    await in_database(lambda: Job.objects.filter(pk=uuid).update(validator_id=_another()))
    await line.send(piece(uuid, 0, "x"))
    answer = await line.receive()
    assert (answer["status"], answer["errors"][0]["type"]) == ("error", "job.not_found")
    assert await in_database(JobPiece.objects.count) == 0


def _another() -> str:
    from facilitator.models import Validator

    return Validator.objects.create(hotkey="another").pk


async def test_another_user_finds_no_log(stranger, line, uuid):
    assert (await stranger.get(f"/api/v1/jobs/{uuid}/logs")).status_code == 404


async def test_a_job_s_end_is_stored_after_all_that_it_printed(user, line, uuid, monkeypatch):
    begun, go_on = asyncio.Event(), asyncio.Event()
    store = ingest.in_database

    async def slow(*args: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await store(*args)

    monkeypatch.setattr(ingest, "in_database", slow)
    await line.send(piece(uuid, 0, "x"))
    await begun.wait()
    await line.send_status(uuid, "completed")
    assert await line.receives_nothing()
    assert (await user.job(uuid))["status"] == "Sent"
    go_on.set()
    assert [(await line.receive())["status"] for _ in "12"] == ["success", "success"]
    assert (await user.job(uuid))["status"] == "Completed"


async def test_output_that_cannot_be_stored_breaks_the_line_and_the_end_is_not_taken(
    user, line, uuid, monkeypatch
):
    async def broken(*args: Any) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(ingest, "in_database", broken)
    await line.send(piece(uuid, 0, "x"))
    await line.send_status(uuid, "completed")
    assert await line.closed() == 1011
    assert (await user.job(uuid))["status"] == "Sent"


async def test_a_deleted_job_ends_its_readers(user, line, uuid):
    await prints(line, uuid, "x")
    async with reading(user, uuid) as stream:
        await stream.next()
        await in_database(Job.objects.filter(pk=uuid).delete)
        ingest.reader_registry.notify(uuid)
        with pytest.raises(StopAsyncIteration):
            await stream.chunk()
    assert await in_database(JobPiece.objects.count) == 0


async def test_a_user_may_read_only_so_many_logs_at_once(user, line, uuid, configure):
    configure(max_streams=1)
    async with reading(user, uuid):
        answer = await user.get(f"/api/v1/jobs/{uuid}/logs")
        assert answer.status_code == 429
    await eventually(lambda: not ingest.reader_registry.count(user.hotkey))
    async with reading(user, uuid):
        pass


async def test_silence_is_filled_and_a_lost_database_is_waited_for(user, line, uuid, monkeypatch):
    monkeypatch.setattr(log_stream, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(log_stream, "RETRY_SECONDS", 0.02)
    async with reading(user, uuid) as stream:
        assert "retry" in await stream.chunk()
        assert "still here" in await stream.chunk()
        with monkeypatch.context() as lost:

            async def refused(*args: Any) -> Any:
                raise log_stream.ApiError(503, {})

            lost.setattr(log_stream, "query_within_deadline", refused)
            for _ in range(3):
                assert "still here" in await stream.chunk()
        await prints(line, uuid, "x")
        assert (await stream.next())["data"]["text"] == "x"


async def test_readers_end_when_the_process_does(user, line, uuid):
    async with reading(user, uuid) as stream:
        waiting = asyncio.create_task(stream.next())
        await asyncio.sleep(0.05)
        ingest.reader_registry.stop()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_progress_goes_to_streams_that_asked_for_it(user, line, uuid):
    kind = {"message_type": "V0JobProgressRequest", "job_uuid": uuid, "stage": "volume_download"}
    made = kind | {"what": "image x", "done_bytes": 1, "total_bytes": 10}
    await line.send(made)
    asks = {"X-CH-Extensions": "output"}
    fields = {"stage": "volume_download", "what": "image x", "done_bytes": 1, "total_bytes": 10}
    await line.report(uuid, "received")
    for headers, wanted in ((asks, True), ({}, False)):
        response = await user.get(f"/api/v1/jobs/{uuid}/events", headers)
        stream = Stream(response)
        assert [(await stream.next())["data"]["status"] for _ in "12"] == ["sent", "received"]
        if wanted:
            assert await stream.next() == {"event": "progress", "data": fields}
        await line.send(made | {"done_bytes": 2})
        if wanted:
            assert (await stream.next())["data"]["done_bytes"] == 2
        else:
            await line.report(uuid, "completed")
            assert (await stream.next())["data"]["status"] == "completed"
        response.close()
    found = await in_database(store.own_statuses, uuid, user.hotkey)
    assert found[0] == line.keypair.ss58_address
