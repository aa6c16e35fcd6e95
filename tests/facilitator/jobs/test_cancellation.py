"""A cancel request is stored, and sent to the validator until the job has ended."""

import time
from types import SimpleNamespace
from uuid import uuid4

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import CancelRequested, cancel_text, check_cancel
from compute_horde.vocabulary import SignatureScope
from facilitator.jobs import store
from facilitator.models import Job
from tests.facilitator.jobs.test_status_stream import streaming
from tests.peers.api_user import User
from tests.peers.validator import ValidatorAtFacilitator

SPEAKING = {"X-CH-Extensions": "cancel"}
DETAILS = {
    "reason": "cancelled",
    "stage": "execution",
    "message": "The job was cancelled",
    "docker_process_stdout": "so far",
}


@pytest.fixture
async def extended(connect) -> ValidatorAtFacilitator:
    """A validator that announces the extensions."""
    return await connect(extensions="cancel,output").log_in()


async def cancel(user: User, uuid: str, signer: User | None = None, **how):
    signed = (signer or user).sign(
        cancel_text(how.get("over", uuid)),
        how.get("scope", SignatureScope.FULL_REQUEST),
        how.get("timestamp_ns", 0),
    )
    return await user.post(f"/api/v1/jobs/{uuid}/cancel/", {}, signed | SPEAKING)


async def made(user: User, line: ValidatorAtFacilitator) -> str:
    """A job that the validator has reported as received."""
    uuid = (await user.create()).json()["uuid"]
    assert (await line.receive())["uuid"] == uuid
    await line.report(uuid, "received")
    return uuid


def cancelled_uuid(frame) -> str:
    return CancelRequested.model_validate(frame).job_uuid


async def test_the_validator_receives_what_the_owner_signed_once(user, extended):
    uuid = await made(user, extended)
    for _ in range(2):
        answer = await cancel(user, uuid)
        assert (answer.status_code, answer.json()["uuid"]) == (202, uuid)
    asked = CancelRequested.model_validate(await extended.receive())
    check_cancel(asked, user.hotkey)
    assert asked.job_uuid == uuid
    assert await extended.receives_nothing()
    await extended.report(uuid, "cancelled", job_failure_details=DETAILS)
    ended = await cancel(user, uuid)
    assert (ended.status_code, ended.json()["status"]) == (200, "Cancelled")
    assert await extended.receives_nothing()


async def test_clients_that_do_not_know_the_word_see_a_failure(user, extended):
    uuid = await made(user, extended)
    await cancel(user, uuid)
    await extended.receive()
    await extended.report(uuid, "cancelled", job_failure_details=DETAILS)
    for headers, label, word in ((SPEAKING, "Cancelled", "cancelled"), ({}, "Failed", "failed")):
        one = (await user.get(f"/api/v1/jobs/{uuid}/", headers)).json()
        listed = (await user.get("/api/v1/jobs/", headers)).json()["results"]
        assert listed == [one]
        last = one["status_history"][-1]
        assert (one["status"], last["status"], one["stdout"]) == (label, word, "so far")
        assert last["metadata"]["job_failure_details"]["reason"] == "cancelled"
    async with streaming(user, uuid) as stream:
        assert (await stream.states())[-2:] == ["failed", "failed"]


async def test_a_cancel_request_is_sent_again_on_the_next_connection_until_the_job_has_ended(
    user, extended, connect
):
    uuid = await made(user, extended)
    await cancel(user, uuid)
    assert cancelled_uuid(await extended.receive()) == uuid
    await extended.leave()
    plain = await connect().log_in()
    assert await plain.receives_nothing()
    await plain.leave()
    back = await connect(extensions="cancel").log_in()
    assert cancelled_uuid(await back.receive()) == uuid
    await back.report(uuid, "cancelled", job_failure_details=DETAILS)
    await back.leave()
    assert await (await connect(extensions="cancel").log_in()).receives_nothing()


async def test_an_absent_validator_receives_it_when_it_is_back(user, extended, connect):
    uuid = await made(user, extended)
    await extended.leave()
    assert (await cancel(user, uuid)).status_code == 202
    back = await connect(extensions="cancel").log_in()
    assert cancelled_uuid(await back.receive()) == uuid


async def test_a_job_nobody_took_is_ended_here_and_its_validator_informed(user, extended, connect):
    uuid = (await user.create()).json()["uuid"]
    assert (await extended.receive())["uuid"] == uuid
    await extended.leave()
    answer = await cancel(user, uuid)
    assert (answer.status_code, answer.json()["status"]) == (200, "Cancelled")
    # The validator may have received the job after all.
    back = await connect(extensions="cancel").log_in()
    assert cancelled_uuid(await back.receive()) == uuid
    assert await back.receives_nothing()
    assert (await back.report(uuid, "completed"))["status"] == "error"
    assert (await user.job(uuid))["status"] == "Failed"
    await back.leave()
    assert await (await connect(extensions="cancel").log_in()).receives_nothing()


async def test_a_job_on_its_way_to_another_connection_comes_before_its_end(user, extended, connect):
    uuid = (await user.create()).json()["uuid"]
    await extended.receive()
    assert (await cancel(user, uuid)).status_code == 202
    await extended.receive()
    await extended.leave()
    back = await connect(extensions="cancel").log_in()
    assert (await back.receive())["uuid"] == uuid
    assert cancelled_uuid(await back.receive()) == uuid


async def test_a_validator_that_cannot_is_named_and_nothing_kept(user, line):
    uuid = await made(user, line)
    answer = await cancel(user, uuid)
    assert answer.status_code == 409
    assert "cannot cancel jobs" in answer.json()["details"]
    assert await line.receives_nothing()
    assert not (await in_database(Job.objects.get)).cancel_request


@pytest.mark.parametrize("found", [None, "row"])
async def test_a_job_that_is_evicted_while_it_is_cancelled_does_not_exist(
    user, extended, monkeypatch, found
):
    uuid = await made(user, extended)
    view = store.own_job

    def evicted(*args):
        first = Job.objects.filter(uuid=uuid).first()
        Job.objects.filter(uuid=uuid).delete()
        if found == "row":
            monkeypatch.setattr(
                Job.objects, "filter", lambda **_: SimpleNamespace(first=lambda: first)
            )
        return view(*args)

    monkeypatch.setattr(store, "own_job", evicted)
    answer = await cancel(user, uuid)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


async def test_only_the_owner_may(user, stranger, extended):
    uuid = await made(user, extended)
    for who, what in ((stranger, uuid), (user, str(uuid4()))):
        answer = await cancel(who, what)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert (await user.post("/api/v1/jobs/x/cancel/", {})).status_code == 404
    assert (await user.client.post(f"/api/v1/jobs/{uuid}/cancel/")).status_code == 401
    assert await extended.receives_nothing()


async def test_a_cancel_request_must_be_signed_by_the_owner_over_this_job_and_lately(
    user, stranger, extended
):
    uuid = await made(user, extended)
    answers = [
        await user.post(f"/api/v1/jobs/{uuid}/cancel/", {}),
        await cancel(user, uuid, stranger),
        await cancel(user, uuid, over=str(uuid4())),
        await cancel(user, uuid, scope=SignatureScope.SIGNED_FIELDS),
        await cancel(user, uuid, timestamp_ns=time.time_ns() - 3600 * 10**9),
    ]
    assert [answer.status_code for answer in answers] == [400] * 5
    assert "details" in answers[-1].json()
    assert await extended.receives_nothing()
