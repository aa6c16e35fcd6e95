"""A hotkey proves itself by signing nonces, and signs nothing else that it is shown."""

import json
from types import SimpleNamespace

import pytest
from bittensor_core import Keypair

from compute_horde_sdk.login import expired
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeError, RequestRefused
from tests.compute_horde.vectors import VECTORS
from tests.compute_horde_sdk.pretend import USER, VALIDATOR


async def test_the_login_signs_the_nonce_and_happens_once(client, server, spec):
    await client.create_job(spec)
    await client.create_job(spec)
    assert server.logins == 1
    body = json.loads(server.seen("POST /auth/login")[0][2])
    assert list(body) == list(VECTORS["login_vector"])[:3]
    assert len(body["signature"]) == 128
    await client.authenticate()
    assert server.logins == 2


@pytest.mark.parametrize(
    ("status", "body", "helps"),
    [
        (401, b'{"detail": "Token expired."}', True),
        (401, b"no", False),
        (500, b"Token expired", False),
    ],
)
def test_a_new_login_helps_only_an_expired_token(status, body, helps):
    assert expired(status, body) is helps


async def test_an_expired_token_is_renewed_without_the_user_noticing(client, server, spec):
    job = await client.create_job(spec)
    server.token = "token-2"
    assert (await client.get_job(job.uuid)).uuid == job.uuid
    assert server.logins == 2


async def test_a_login_lost_half_way_starts_over(client, server, spec):
    server.faults["POST /auth/login"] = ["drop"]
    await client.create_job(spec)
    assert len(server.seen("GET /auth/nonce")) == 2


async def test_a_hotkey_that_is_not_allowed_is_told_whom_to_ask(server, spec):
    stranger = Keypair.create_from_uri("//Stranger")
    client = ComputeHordeClient(stranger, VALIDATOR, facilitator_url=server.url)
    with pytest.raises(RequestRefused, match=f"{stranger.ss58_address}.*operator"):
        await client.create_job(spec)
    await client.aclose()


@pytest.mark.parametrize(
    "nonce",
    [
        "0x" + "00" * 64,
        "0X00",
        "a" * 1025,
        "",
        '{"payload":1}',
        f"{USER.ss58_address}:5F:1",
        "<Bytes>a</Bytes>",
        "zażółć",
    ],
)
async def test_nothing_but_a_nonce_is_signed(client, server, spec, nonce):
    server.nonces = iter([nonce])
    with pytest.raises(ComputeHordeError, match="nothing was signed"):
        await client.create_job(spec)
    assert not server.seen("POST /auth/login")


async def test_any_object_that_signs_is_a_hotkey(server, spec):
    hotkey = SimpleNamespace(ss58_address=USER.ss58_address, sign=lambda data: USER.sign(data))
    async with ComputeHordeClient(hotkey, VALIDATOR, facilitator_url=server.url) as client:
        await client.create_job(spec)
    assert len(server.jobs) == 1


async def test_a_hotkey_with_other_signatures_is_refused(server, spec):
    hotkey = SimpleNamespace(ss58_address=USER.ss58_address, sign=lambda data: b"short")
    async with ComputeHordeClient(hotkey, VALIDATOR, facilitator_url=server.url) as client:
        with pytest.raises(ComputeHordeError, match="sr25519"):
            await client.create_job(spec)
