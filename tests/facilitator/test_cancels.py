"""A user's wish to end a job is kept, and said to the validator until the job has ended."""

import time
from uuid import uuid4

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import CancelRequested, cancel_text, check_cancel
from compute_horde.vocabulary import SignatureScope
from facilitator.models import Job
from tests.facilitator.parties import Line, User
from tests.facilitator.test_events import streaming

SPEAKING = {"X-CH-Extensions": "cancel"}
DETAILS = {
    "reason": "cancelled",
    "stage": "execution",
    "message": "The job was cancelled",
    "docker_process_stdout": "so far",
}


@pytest.fixture
async def speaking(connect) -> Line:
    """A validator that understands our extensions."""
    return await connect(extensions="cancel,output").log_in()


async def cancel(user: User, uuid: str, signer: User | None = None, **how):
    signed = (signer or user).sign(
        cancel_text(how.get("over", uuid)),
        how.get("scope", SignatureScope.FULL_REQUEST),
        how.get("timestamp_ns", 0),
    )
    return await user.post(f"/api/v1/jobs/{uuid}/cancel/", {}, signed | SPEAKING)


async def made(user: User, line: Line) -> str:
    """A job that the validator was told and has taken."""
    uuid = (await user.create()).json()["uuid"]
    assert (await line.hear())["uuid"] == uuid
    await line.report(uuid, "received")
    return uuid


def wished(frame) -> str:
    return CancelRequested.model_validate(frame).job_uuid


async def test_the_validator_hears_what_the_owner_signed_once(user, speaking):
    uuid = await made(user, speaking)
    for _ in range(2):
        answer = await cancel(user, uuid)
        assert (answer.status_code, answer.json()["uuid"]) == (202, uuid)
    asked = CancelRequested.model_validate(await speaking.hear())
    check_cancel(asked, user.hotkey)
    assert asked.job_uuid == uuid
    assert await speaking.hears_nothing()
    await speaking.report(uuid, "cancelled", job_failure_details=DETAILS)
    ended = await cancel(user, uuid)
    assert (ended.status_code, ended.json()["status"]) == (200, "Cancelled")
    assert await speaking.hears_nothing()


async def test_clients_that_do_not_know_the_word_see_a_failure(user, speaking):
    uuid = await made(user, speaking)
    await cancel(user, uuid)
    await speaking.hear()
    await speaking.report(uuid, "cancelled", job_failure_details=DETAILS)
    for headers, label, word in ((SPEAKING, "Cancelled", "cancelled"), ({}, "Failed", "failed")):
        one = (await user.get(f"/api/v1/jobs/{uuid}/", headers)).json()
        listed = (await user.get("/api/v1/jobs/", headers)).json()["results"]
        assert listed == [one]
        last = one["status_history"][-1]
        assert (one["status"], last["status"], one["stdout"]) == (label, word, "so far")
        assert last["metadata"]["job_failure_details"]["reason"] == "cancelled"
    async with streaming(user, uuid) as stream:
        assert (await stream.states())[-2:] == ["failed", "failed"]


async def test_a_wish_is_said_again_on_the_next_connection_until_the_job_has_ended(
    user, speaking, connect
):
    uuid = await made(user, speaking)
    await cancel(user, uuid)
    assert wished(await speaking.hear()) == uuid
    await speaking.leave()
    plain = await connect().log_in()
    assert await plain.hears_nothing()
    await plain.leave()
    back = await connect(extensions="cancel").log_in()
    assert wished(await back.hear()) == uuid
    await back.report(uuid, "cancelled", job_failure_details=DETAILS)
    await back.leave()
    assert await (await connect(extensions="cancel").log_in()).hears_nothing()


async def test_an_absent_validator_hears_it_when_it_is_back(user, speaking, connect):
    uuid = await made(user, speaking)
    await speaking.leave()
    assert (await cancel(user, uuid)).status_code == 202
    back = await connect(extensions="cancel").log_in()
    assert wished(await back.hear()) == uuid


async def test_a_job_nobody_took_is_ended_here_and_its_validator_told_once(user, speaking, connect):
    uuid = (await user.create()).json()["uuid"]
    assert (await speaking.hear())["uuid"] == uuid
    await speaking.leave()
    answer = await cancel(user, uuid)
    assert (answer.status_code, answer.json()["status"]) == (200, "Cancelled")
    # It may have heard of the job after all.
    back = await connect(extensions="cancel").log_in()
    assert wished(await back.hear()) == uuid
    assert await back.hears_nothing()
    assert (await back.report(uuid, "completed"))["status"] == "error"
    assert (await user.job(uuid))["status"] == "Failed"
    await back.leave()
    assert await (await connect(extensions="cancel").log_in()).hears_nothing()


async def test_a_job_on_its_way_to_another_connection_comes_before_its_end(user, speaking, connect):
    uuid = (await user.create()).json()["uuid"]
    await speaking.hear()
    assert (await cancel(user, uuid)).status_code == 202
    await speaking.hear()
    await speaking.leave()
    back = await connect(extensions="cancel").log_in()
    assert (await back.hear())["uuid"] == uuid
    assert wished(await back.hear()) == uuid


async def test_a_validator_that_cannot_is_named_and_nothing_kept(user, line):
    uuid = await made(user, line)
    answer = await cancel(user, uuid)
    assert answer.status_code == 409
    assert "cannot cancel jobs" in answer.json()["details"]
    assert await line.hears_nothing()
    assert not (await in_database(Job.objects.get)).cancel_request


async def test_only_the_owner_may(user, stranger, speaking):
    uuid = await made(user, speaking)
    for who, what in ((stranger, uuid), (user, str(uuid4()))):
        answer = await cancel(who, what)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert (await user.post("/api/v1/jobs/x/cancel/", {})).status_code == 404
    assert (await user.client.post(f"/api/v1/jobs/{uuid}/cancel/")).status_code == 401
    assert await speaking.hears_nothing()


async def test_a_wish_must_be_signed_by_the_owner_over_this_job_and_lately(
    user, stranger, speaking
):
    uuid = await made(user, speaking)
    answers = [
        await user.post(f"/api/v1/jobs/{uuid}/cancel/", {}),
        await cancel(user, uuid, stranger),
        await cancel(user, uuid, over=str(uuid4())),
        await cancel(user, uuid, scope=SignatureScope.SIGNED_FIELDS),
        await cancel(user, uuid, timestamp_ns=time.time_ns() - 3600 * 10**9),
    ]
    assert [answer.status_code for answer in answers] == [400] * 5
    assert "details" in answers[-1].json()
    assert await speaking.hears_nothing()
