"""Requests bound to a validator and to one use: checked, required, and passed on."""

import json
import secrets

import pytest

from compute_horde import signing
from compute_horde.django.database import in_database
from compute_horde.protocol.binding import RequestBinding
from compute_horde.protocol.job import JobRequested
from facilitator.models import BindingSigner, Job
from tests.compute_horde.vectors import KEYS
from tests.peers.api_user import job_body

VALIDATOR = KEYS["validator"].ss58_address


def bound(user, body, *, validator=VALIDATOR, nonce="", **namespace):
    """The headers of a request with a binding."""
    headers = user.sign_job(body)
    text = user.signed_text(body)
    binding = RequestBinding.signed(
        user.keypair,
        target_validator=validator,
        nonce=nonce or secrets.token_urlsafe(24),
        request_digest=signing.request_digest(text, int(headers["X-CH-Timestamp-NS"])),
        job_namespace=namespace.get("namespace", body.get("job_namespace")),
    )
    return headers | binding.headers()


async def submit(user, headers, body=None):
    return await user.post("/api/v1/job-docker/", body or job_body(), headers)


async def test_a_bound_request_reaches_a_validator_that_understands_it_with_its_binding(
    user, connect
):
    line = await connect(extensions="binding").log_in()
    assert (await submit(user, bound(user, job_body()))).status_code == 201
    job = JobRequested.model_validate(await line.receive())
    assert job.binding.target_validator == VALIDATOR
    assert job.verify() == user.hotkey


async def test_a_published_validator_receives_no_key_that_it_refuses(user, connect):
    line = await connect(is_published=True).log_in()
    assert (await submit(user, bound(user, job_body()))).status_code == 201
    assert "binding" not in await line.receive()


async def test_a_job_that_goes_to_an_older_connection_loses_its_binding_there(user, connect):
    new, old = await connect(extensions="binding").log_in(), await connect().log_in()
    await new.send({"message_type": "V0Heartbeat"})
    assert await new.receives_nothing()
    assert (await submit(user, bound(user, job_body()))).status_code == 201
    assert "binding" in await new.receive()
    await new.leave()
    assert "binding" not in await old.receive()


@pytest.mark.parametrize(
    "changes",
    [{"validator": KEYS["miner"].ss58_address}, {"namespace": "SN0.other"}],
    ids=["for another validator", "in another namespace"],
)
async def test_a_binding_of_another_request_is_refused(user, line, changes):
    answer = await submit(user, bound(user, job_body(), **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid signature provided")


async def test_a_malformed_binding_is_refused(user, line):
    headers = bound(user, job_body()) | {"X-CH-Binding-Nonce": "short"}
    answer = await submit(user, headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid binding")


async def test_who_has_bound_a_request_must_bind_them_all_until_the_operator_says_otherwise(
    user, stranger, line
):
    assert (await user.create()).status_code == 201
    assert (await submit(user, bound(user, job_body()))).status_code == 201
    answer = await user.create()
    assert (answer.status_code, answer.json()["error"]) == (400, "Request not bound")
    assert "binding signers" in answer.json()["details"]
    assert (await stranger.create()).status_code == 201
    await in_database(BindingSigner.objects.all().delete)
    assert (await user.create()).status_code == 201


async def test_a_nonce_is_used_once(user, line):
    nonce = secrets.token_urlsafe(24)
    assert (await submit(user, bound(user, job_body(), nonce=nonce))).status_code == 201
    answer = await submit(user, bound(user, job_body(), nonce=nonce))
    assert (answer.status_code, answer.json()["error"]) == (400, "replayed")
    assert await in_database(Job.objects.count) == 1


async def test_the_binding_is_not_shown_with_the_job(user, line):
    answer = await submit(user, bound(user, job_body()))
    assert "binding" not in json.dumps(answer.json())
