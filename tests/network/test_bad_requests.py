"""A request that nobody should act on is refused with its cause, and nothing comes of it."""

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from bittensor_core import Keypair

from compute_horde.keyfile import load_hotkey
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeError
from tests.network.running import ENDS_WITHIN_SECONDS, Running, shell
from tests.network.wire import JOBS, job_body, logged_in, signed

pytestmark = pytest.mark.usefixtures("containers")

OUTSIDE = "../../etc/x"


def stranger() -> Keypair:
    return Keypair.create_from_mnemonic(Keypair.generate_mnemonic())


def allowed_stranger(network: Running) -> Keypair:
    """A hotkey that an operator admitted at the facilitator, and there only."""
    key = stranger()
    with psycopg.connect(network.env["FACILITATOR_DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO facilitator_allowedhotkey (hotkey, note, created_at) "
            "VALUES (%s, '', now())",
            [key.ss58_address],
        )
    return key


@pytest.fixture
def user(network: Running) -> Keypair:
    return load_hotkey(Path(network.env["USER_HOTKEY_FILE"]))


@pytest.fixture
async def http(network: Running, user: Keypair) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(network, user) as client:
        yield client


def jobs_known(network: Running) -> int:
    return int(network.rows("facilitator", "SELECT count(*) FROM facilitator_job")[0][0])


def said(answer: httpx.Response) -> tuple[int, str]:
    """The status, and everything that is told of it."""
    return answer.status_code, " ".join(_words(answer.json()))


def _words(told: Any) -> list[str]:
    match told:
        case dict():
            return [word for key, value in told.items() for word in [key, *_words(value)]]
        case list():
            return [word for value in told for word in _words(value)]
    return [str(told)]


async def test_a_request_that_was_not_signed_is_refused(
    network: Running, http: httpx.AsyncClient
) -> None:
    before = jobs_known(network)
    status, told = said(await http.post(JOBS, json=job_body(network)))
    assert (status, "Signature not found" in told) == (400, True)
    assert jobs_known(network) == before


@pytest.mark.parametrize("field", ["docker_image", "args", "env", "execution_time_limit"])
async def test_a_request_that_was_changed_after_signing_is_refused(
    network: Running, http: httpx.AsyncClient, user: Keypair, field: str
) -> None:
    before, body = jobs_known(network), job_body(network)
    headers = signed(body, user)
    changes = {"docker_image": "other", "args": [], "env": {"A": "B"}, "execution_time_limit": 6}
    answer = await http.post(JOBS, json=body | {field: changes[field]}, headers=headers)
    status, told = said(answer)
    assert (status, "Invalid signature provided" in told) == (400, True)
    assert jobs_known(network) == before


@pytest.mark.parametrize("raw", [bytes(64), b"short", b"\xff" * 64])
async def test_a_signature_that_is_none_is_refused(
    network: Running, http: httpx.AsyncClient, user: Keypair, raw: bytes
) -> None:
    body = job_body(network)
    headers = signed(body, user) | {"X-CH-Signature": base64.b64encode(raw).decode()}
    status, told = said(await http.post(JOBS, json=body, headers=headers))
    assert (status, "Invalid signature provided" in told) == (400, True)


async def test_a_request_signed_by_somebody_else_is_refused(
    network: Running, http: httpx.AsyncClient, user: Keypair
) -> None:
    other, body = stranger(), job_body(network)
    status, told = said(await http.post(JOBS, json=body, headers=signed(body, other)))
    assert status == 400
    assert f"signed by {other.ss58_address} but logged in as {user.ss58_address}" in told


@pytest.mark.parametrize(("ahead", "told"), [(-3600, "s ago"), (3600, "in the future")])
async def test_a_request_of_another_time_is_refused(
    network: Running, http: httpx.AsyncClient, user: Keypair, ahead: int, told: str
) -> None:
    body = job_body(network)
    headers = signed(body, user, at_ns=time.time_ns() + ahead * 10**9)
    status, words = said(await http.post(JOBS, json=body, headers=headers))
    assert (status, told in words) == (400, True)


async def test_a_replayed_request_makes_no_second_job(
    network: Running, http: httpx.AsyncClient, user: Keypair
) -> None:
    before, body = jobs_known(network), job_body(network)
    headers = signed(body, user)
    first = await http.post(JOBS, json=body, headers=headers)
    assert first.status_code == 201
    for key in ({}, {"Idempotency-Key": "another"}):
        status, told = said(await http.post(JOBS, json=body, headers=headers | key))
        assert (status, "replayed" in told, first.json()["uuid"] in told) == (400, True, True)
    assert jobs_known(network) == before + 1


async def test_a_retried_request_gets_the_job_it_made(
    network: Running, http: httpx.AsyncClient, user: Keypair
) -> None:
    before, body = jobs_known(network), job_body(network)
    headers = signed(body, user) | {"Idempotency-Key": str(time.time_ns())}
    answers = [await http.post(JOBS, json=body, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert len({answer.json()["uuid"] for answer in answers}) == 1
    assert jobs_known(network) == before + 1
    other = job_body(network, args=["echo", "other"])
    key = {"Idempotency-Key": headers["Idempotency-Key"]}
    status, told = said(await http.post(JOBS, json=other, headers=signed(other, user) | key))
    assert (status, "Idempotency-Key already used" in told) == (422, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"executor_class": "always_on.quantum"}, "executor_class"),
        ({"docker_image": ""}, "docker_image"),
        ({"execution_time_limit": -1}, "execution_time_limit"),
        ({"artifacts_dir": "relative"}, "artifacts_dir"),
        ({"artifacts_dir": f"/{OUTSIDE}"}, "artifacts_dir"),
        ({"env": {"A": 1}}, "env"),
        (
            {
                "volumes": [
                    {
                        "volume_type": "single_file",
                        "url": "http://127.0.0.1:1/x",
                        "relative_path": OUTSIDE,
                    }
                ]
            },
            "volumes",
        ),
        (
            {
                "uploads": [
                    {
                        "output_upload_type": "single_file_put",
                        "url": "http://127.0.0.1:1/x",
                        "relative_path": OUTSIDE,
                        "signed_headers": None,
                    }
                ]
            },
            "uploads",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_field_that_cannot_be_is_named(
    network: Running,
    http: httpx.AsyncClient,
    user: Keypair,
    change: dict[str, Any],
    field: str,
) -> None:
    before, body = jobs_known(network), job_body(network, **change)
    answer = await http.post(JOBS, json=body, headers=signed(body, user))
    assert answer.status_code == 400
    assert [name.split(".")[0] for name in answer.json()] == [field]
    if OUTSIDE in str(change):
        assert ".." in answer.text
    assert jobs_known(network) == before


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"}{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 500_000, 400),
        (b"[" + b"0," * 500_000 + b"0]", 400),
        (b'"' + b"x" * 9 * 2**20 + b'"', 413),
    ],
    ids=["empty", "no-json", "list", "binary", "nested", "many-values", "oversized"],
)
async def test_a_body_that_is_no_job_is_refused(
    http: httpx.AsyncClient, content: bytes, status: int
) -> None:
    answer = await http.post(JOBS, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()


async def test_a_job_too_large_for_the_validator_is_refused_with_a_remedy(
    network: Running, http: httpx.AsyncClient, user: Keypair
) -> None:
    volume = {"volume_type": "inline", "contents": "A" * 2**20, "relative_path": None}
    body = job_body(network, volumes=[volume])
    status, told = said(await http.post(JOBS, json=body, headers=signed(body, user)))
    assert (status, "behind a URL" in told) == (413, True)


async def test_artifacts_dir_may_be_null(
    network: Running, http: httpx.AsyncClient, user: Keypair
) -> None:
    body = job_body(network, artifacts_dir=None)
    answer = await http.post(JOBS, json=body, headers=signed(body, user))
    assert answer.status_code == 201
    job = await network.client().get_job(answer.json()["uuid"])
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    assert (job.status, job.result.stdout, job.result.artifacts) == ("completed", "hi\n", {})


def client_of(network: Running, key: Keypair) -> ComputeHordeClient:
    client = ComputeHordeClient(
        hotkey=key,
        compute_horde_validator_hotkey=network.env["VALIDATOR_HOTKEY"],
        facilitator_url=network.env["FACILITATOR_URL"],
    )
    network.clients.append(client)
    return client


async def test_a_hotkey_that_the_facilitator_does_not_know_may_not_log_in(
    network: Running,
) -> None:
    key = stranger()
    with pytest.raises(httpx.HTTPStatusError) as refused:
        async with logged_in(network, key):
            pass
    assert (refused.value.response.status_code, refused.value.response.json()) == (
        400,
        {"error": "Hotkey not allowed"},
    )
    with pytest.raises(ComputeHordeError, match=f"{key.ss58_address} is not allowed at"):
        await client_of(network, key).create_job(shell("true"))


async def test_a_user_that_the_validator_does_not_know_is_rejected(network: Running) -> None:
    key = allowed_stranger(network)
    job = await client_of(network, key).create_job(shell("true"))
    await job.wait(timeout=ENDS_WITHIN_SECONDS)
    assert (job.status, job.error.reason) == ("rejected", "invalid_signature")
    assert job.error.message == f"Signatory {key.ss58_address} is not in validator whitelist"


async def test_a_job_of_another_user_is_not_there(network: Running) -> None:
    mine = await network.run(shell("true"))
    key = allowed_stranger(network)
    async with logged_in(network, key) as http:
        for path in (f"/api/v1/jobs/{mine.uuid}/", f"/api/v1/jobs/{mine.uuid}/events"):
            assert (await http.get(path)).status_code == 404
        assert (await http.get("/api/v1/jobs/")).json()["count"] == 0


async def test_after_all_that_the_next_job_works(network: Running) -> None:
    job = await network.run(shell("echo fine"))
    assert (job.status, job.result.stdout) == ("completed", "fine\n")
