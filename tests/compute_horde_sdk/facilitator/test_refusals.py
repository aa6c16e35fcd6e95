"""Errors for a facilitator's refusals name the user's object and the next step."""

import pytest

from compute_horde_sdk.facilitator import http
from compute_horde_sdk.v1 import ComputeHordeNotFoundError, InvalidRequestError
from tests.compute_horde_sdk.pretend import USER

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("verb", ["get_job", "cancel_job"])
async def test_an_unknown_job_is_named_with_the_hotkey_that_asked(client, server, verb):
    server.announces = "cancel"
    with pytest.raises(ComputeHordeNotFoundError) as caught:
        await getattr(client, verb)(UNKNOWN)
    for word in (UNKNOWN, USER.ss58_address, server.url, "compute-horde jobs"):
        assert word in str(caught.value)
    assert caught.value.job_uuid == UNKNOWN


async def test_the_log_of_an_unknown_job_is_told_the_same_way(client):
    with pytest.raises(ComputeHordeNotFoundError, match=f"job {UNKNOWN} does not exist"):
        _ = [piece async for piece in client.job(UNKNOWN).logs()]


async def test_a_page_beyond_the_end_is_told_as_one(client):
    with pytest.raises(ComputeHordeNotFoundError, match="page 7 does not exist"):
        await client.get_jobs(page=7)


async def test_a_server_that_is_no_facilitator_is_told_as_one(client, server):
    server.faults["GET /auth/nonce"] = [404]
    with pytest.raises(ComputeHordeNotFoundError, match="URL of a facilitator"):
        await client.get_jobs()


async def test_what_is_no_uuid_is_told_with_one_that_is(client):
    with pytest.raises(InvalidRequestError, match=r"'my job' is not the uuid.*looks like"):
        await client.get_job("my job")


async def test_what_is_tried_again_is_told_and_that_it_works_again(client, server, monkeypatch):
    monkeypatch.setattr(http, "wait_before_next", lambda attempt: 0.01)
    problems = []
    client.facilitator.on_problem = problems.append
    server.faults["GET /api/v1/jobs"] = [503, 503, "drop"]
    await client.get_jobs()
    assert problems[:2] == [f"{server.url} answers 503; trying again"] * 2
    assert "no answer" in problems[2]
    assert problems[3:] == [None]
