"""Login signs a facilitator's nonce, and nothing else that is presented as one."""

import json
from types import SimpleNamespace

import pytest
from bittensor_core import Keypair

from compute_horde_sdk import peers_requiring_proof
from compute_horde_sdk.facilitator import auth
from compute_horde_sdk.facilitator.auth import expired
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
        (401, b'{"detail": "Token decode error."}', True),
        (401, b'{"detail": "Token missing subject."}', True),
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


async def test_the_nonce_of_another_facilitator_is_not_signed(client, server, spec):
    server.nonces = iter([f"{'ab' * 16}+facilitator.example:1vbC2D:Qm9ndXM"])
    with pytest.raises(ComputeHordeError, match=r"asked for a login at facilitator\.example"):
        await client.create_job(spec)
    assert not server.seen("POST /auth/login")


async def test_a_nonce_that_names_this_facilitator_is_signed(client, server, spec):
    server.nonces = iter([f"{'ab' * 16}+127.0.0.1:1vbC2D:Qm9ndXM"])
    await client.create_job(spec)
    assert server.logins == 1
    assert server.seen("GET /auth/nonce")[0][3]["X-CH-Facilitator-Host"] == "127.0.0.1"


async def test_a_facilitator_that_named_itself_once_must_name_itself_always(server, spec):
    named, unnamed = f"{'ab' * 16}+127.0.0.1:1vbC2D:Qm9ndXM", f"{'ab' * 16}:1vbC2D:Qm9ndXM"
    server.nonces = iter([unnamed, named, unnamed])
    async with ComputeHordeClient(USER, VALIDATOR, facilitator_url=server.url) as client:
        await client.create_job(spec)
        await client.authenticate()
        # As in another process.
        peers_requiring_proof.facilitators.forget_unsaved()
        with pytest.raises(ComputeHordeError, match=r"no longer contain.*nothing was signed"):
            await client.authenticate()
    assert server.logins == 2
    peers_requiring_proof.facilitators.path().unlink()
    server.nonces = iter([unnamed])
    async with ComputeHordeClient(USER, VALIDATOR, facilitator_url=server.url) as client:
        await client.create_job(spec)


async def test_a_facilitator_known_by_an_ipv6_address_may_name_itself_so():
    nonce = {"nonce": f"{'ab' * 16}+fd00::1:1vbC2D:Qm9ndXM"}
    assert auth.credentials(nonce, USER, auth.host_of("http://[fd00::1]:8000/"))
    with pytest.raises(ComputeHordeError, match="asked for a login at fd00::1"):
        auth.credentials(nonce, USER, "fd00::2")
