"""Requests are retried where that is safe, and responses are read up to a maximum size."""

import asyncio

import httpx
import pytest

from compute_horde_sdk.facilitator import http
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    FacilitatorUnreachable,
    RequestRefused,
)
from tests.compute_horde_sdk.pretend import USER, VALIDATOR


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "wait_before_next", lambda attempt: 0.01)


async def test_another_401_is_told_and_not_tried_again(client, server):
    server.faults["GET /api/v1/jobs"] = [401] * 5
    with pytest.raises(RequestRefused, match="operator") as caught:
        await client.get_jobs()
    assert caught.value.status_code == 401
    assert len(server.seen("GET /api/v1/jobs")) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_facilitator_is_asked_five_times(client, server, spec, status):
    server.faults["POST /api/v1/job"] = [status] * 4
    await client.create_job(spec)
    assert len(server.seen("POST /api/v1/job")) == 5
    server.faults["POST /api/v1/job"] = [status] * 5
    with pytest.raises(RequestRefused):
        await client.create_job(spec)
    assert len(server.seen("POST /api/v1/job")) == 10


async def test_a_refusal_is_told_once_with_what_the_facilitator_said(client, server, spec):
    server.faults["POST /api/v1/job"] = [400]
    server.errors[400] = {"docker_image": ["too long"]}
    with pytest.raises(RequestRefused, match=r"400 to POST .*docker_image.*too long"):
        await client.create_job(spec)
    assert len(server.seen("POST /api/v1/job")) == 1


async def test_a_validator_that_is_just_coming_back_is_waited_for(client, server, spec):
    server.errors[400] = ["Could not select Validator"]
    server.faults["POST /api/v1/job"] = [400, 400]
    await client.create_job(spec)
    server.faults["POST /api/v1/job"] = [400] * 5
    with pytest.raises(RequestRefused, match=r"Could not select Validator.*not connected"):
        await client.create_job(spec)


async def test_a_retry_after_a_lost_answer_makes_no_second_job(client, server, spec):
    server.announces = "events, idempotency-key"
    server.faults["POST /api/v1/job"] = ["drop after", "drop"]
    job = await client.create_job(spec)
    assert list(server.jobs) == [job.uuid]
    posts = server.seen("POST /api/v1/job")
    assert len(posts) == 3
    assert len({headers["Idempotency-Key"] for *_, headers in posts}) == 1


async def test_two_jobs_of_one_spec_are_two_jobs(client, server, spec):
    server.announces = "idempotency-key"
    first, second = await client.create_job(spec), await client.create_job(spec)
    assert first.uuid != second.uuid


async def test_a_facilitator_that_may_have_acted_and_knows_no_keys_is_not_asked_again(
    client, server, spec
):
    server.faults["POST /api/v1/job"] = ["drop after"]
    with pytest.raises(FacilitatorUnreachable, match="compute-horde jobs"):
        await client.create_job(spec)
    assert len(server.jobs) == 1


async def test_reading_is_tried_again_after_a_lost_answer(client, server, spec):
    job = await client.create_job(spec)
    server.faults["GET /api/v1/jobs"] = ["drop"] * 4
    assert (await client.get_job(job.uuid)).uuid == job.uuid


async def test_no_facilitator_at_all_is_said_with_its_url(spec):
    client = ComputeHordeClient(USER, VALIDATOR, facilitator_url="http://127.0.0.1:9")
    with pytest.raises(FacilitatorUnreachable, match=r"http://127\.0\.0\.1:9/auth/nonce"):
        await client.create_job(spec)


@pytest.mark.parametrize(
    "url", ["", "localhost:80", "gopher://x/", "http://", "/api", "http://x:99999/"]
)
async def test_what_is_no_url_is_told_at_once(spec, url):
    client = ComputeHordeClient(USER, VALIDATOR, facilitator_url=url)
    with pytest.raises(ComputeHordeError, match="not the URL of a facilitator"):
        await client.create_job(spec)


@pytest.mark.parametrize("answer", ["web page", "redirects", "garbage"])
async def test_what_is_no_facilitator_is_told(spec, answer):
    response = {
        "web page": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        "redirects": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        "garbage": b"220 smtp ready\r\n",
    }[answer]

    async def speak(reader, writer):
        while await reader.readline() not in {b"\r\n", b""}:
            pass
        writer.write(response)
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(speak, "127.0.0.1")
    async with other:
        port = other.sockets[0].getsockname()[1]
        client = ComputeHordeClient(USER, VALIDATOR, facilitator_url=f"http://127.0.0.1:{port}")
        with pytest.raises(ComputeHordeError, match=r"not JSON|no answer to GET"):
            await client.create_job(spec)
        await client.aclose()


async def test_an_answer_without_end_is_not_read_to_the_end(client, server, spec, monkeypatch):
    job = await client.create_job(spec)
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 10_000)
    server.extra_bytes = b" " * 20_000
    with pytest.raises(ComputeHordeError, match="over 10,000 bytes"):
        await client.get_job(job.uuid)


def test_one_client_serves_several_event_loops_after_one_another(server, spec):
    client = ComputeHordeClient(USER, VALIDATOR, facilitator_url=server.url.rstrip("/"))

    async def once():
        try:
            return (await client.create_job(spec)).uuid
        finally:
            await client.aclose()

    assert asyncio.run(once()) != asyncio.run(once())
    assert server.logins == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_facilitator_that_says_when_to_ask_again_is_asked_as_often_as_it_takes(
    client, server, spec, status, monkeypatch
):
    monkeypatch.setattr(http, "LONGEST_WAIT_SECONDS", 0.01)
    server.fault_headers = {"Retry-After": "0"}
    server.faults["POST /api/v1/job"] = [status] * 12
    await client.create_job(spec)
    assert len(server.seen("POST /api/v1/job")) == 13


@pytest.mark.parametrize(
    ("headers", "passed", "own", "wait"),
    [
        ({}, 0, 0.5, 0.5),
        ({}, 0, None, None),
        ({"retry-after": "30"}, 0, 0.5, 30),
        ({"retry-after": "30"}, 89, None, 30),
        ({"retry-after": "30"}, 91, 0.5, None),
        ({"retry-after": "3600"}, 0, 0.5, None),
        ({"retry-after": "0"}, 0, None, http.LONGEST_WAIT_SECONDS),
        (
            {
                "retry-after": "Thu, 01 Jan 2015 12:00:20 GMT",
                "date": "Thu, 01 Jan 2015 12:00:00 GMT",
            },
            0,
            0.5,
            20,
        ),
    ],
)
def test_the_wait_is_as_long_as_asked_while_there_is_patience(headers, passed, own, wait):
    answer = http.HttpAnswer(503, b"", httpx.Headers(headers))
    assert http._retry_delay(answer, passed, own) == wait
