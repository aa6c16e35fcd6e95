"""Login and bearer tokens."""

import time
from typing import Any

import jwt
import pytest
from bittensor_core import Keypair
from django.test import AsyncClient, RequestFactory

from compute_horde.django.database import in_database
from facilitator.accounts import auth
from facilitator.models import AllowedHotkey
from tests.compute_horde.vectors import KEYS, VECTORS

USER = KEYS["sdk_user"]


async def fresh_nonce() -> str:
    return (await AsyncClient().get("/auth/nonce")).json()["nonce"]


async def log_in(**body: Any) -> Any:
    return await AsyncClient().post("/auth/login", body, content_type="application/json")


async def signed(keypair: Keypair = USER) -> dict[str, str]:
    nonce = await fresh_nonce()
    return {
        "hotkey": keypair.ss58_address,
        "signature": bytes(keypair.sign(nonce.encode())).hex(),
        "nonce": nonce,
    }


async def jobs_with(authorization: str) -> Any:
    return await AsyncClient().get("/api/v1/jobs/", headers={"Authorization": authorization})


async def test_a_signed_nonce_buys_a_token_that_opens_the_api():
    answer = await log_in(**await signed())
    assert answer.status_code == 200
    assert (await jobs_with(f"Bearer {answer.json()['token']}")).status_code == 200
    assert (await jobs_with(f"bearer {answer.json()['token']}")).status_code == 200


async def test_a_nonce_never_looks_like_hexadecimal_bytes():
    assert not (await fresh_nonce()).startswith("0x")


async def test_a_nonce_is_good_for_one_login():
    body = await signed()
    assert (await log_in(**body)).status_code == 200
    again = await log_in(**body)
    assert (again.status_code, again.json()) == (400, {"error": "Nonce expired or not found"})


async def test_a_failed_login_does_not_use_up_the_nonce():
    body = await signed()
    other = body | {"signature": "00" * 64}
    assert (await log_in(**other)).status_code == 401
    assert (await log_in(**body)).status_code == 200


@pytest.mark.parametrize("name", ["hotkey", "signature", "nonce"])
async def test_a_missing_part_is_named(name):
    body = await signed()
    for change in ({}, {name: ""}):
        answer = await log_in(**{k: v for k, v in body.items() if k != name} | change)
        assert (answer.status_code, answer.json()) == (400, {"error": f"Missing {name}"})


@pytest.mark.parametrize(
    "nonce", ["made:up:here", "x", "x" * 10_000, VECTORS["login_vector"]["nonce"]]
)
async def test_a_nonce_we_did_not_make_is_refused(nonce):
    answer = await log_in(**VECTORS["login_vector"] | {"nonce": nonce})
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid nonce"})


async def test_an_old_nonce_is_refused(monkeypatch):
    body = await signed()
    monkeypatch.setattr(auth, "NONCE_SECONDS", -1)
    answer = await log_in(**body)
    assert (answer.status_code, answer.json()) == (400, {"error": "Nonce expired"})


@pytest.mark.parametrize(
    "change", [{"hotkey": "nobody"}, {"signature": "0x12"}, {"signature": "x"}]
)
async def test_malformed_keys_and_signatures_are_refused(change):
    answer = await log_in(**await signed() | change)
    assert (answer.status_code, answer.json()) == (400, {"error": "Nonce expired or not found"})


async def test_a_signature_of_somebody_else_is_refused():
    answer = await log_in(**await signed() | {"hotkey": KEYS["miner"].ss58_address})
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})


async def test_a_user_who_is_not_on_the_list_is_refused():
    answer = await log_in(**await signed(KEYS["validator"]))
    assert (answer.status_code, answer.json()) == (400, {"error": "Hotkey not allowed"})


async def test_a_body_that_is_no_login_is_refused():
    client = AsyncClient()
    for body in ("", "[", "[]", '{"nonce": {}}'):
        answer = await client.post("/auth/login", body, content_type="application/json")
        assert answer.status_code == 400


async def test_an_expired_token_is_refused_in_the_words_clients_look_for():
    old = auth.token(USER.ss58_address, now=int(time.time()) - auth.TOKEN_SECONDS - 1)
    answer = await jobs_with(f"Bearer {old}")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token expired."})
    assert answer["WWW-Authenticate"] == "Bearer"


def without_subject() -> str:
    return jwt.encode({"exp": time.time() + 9999}, auth._token_key(), algorithm="HS256")


def signed_with_another_key() -> str:
    return jwt.encode({"sub": USER.ss58_address}, "k" * 32, algorithm="HS256")


def unsigned() -> str:
    return jwt.encode({"sub": USER.ss58_address}, None, algorithm="none")


@pytest.mark.parametrize(
    ("authorization", "details"),
    [
        ("", "Authentication credentials were not provided."),
        ("Basic abc", "Authentication credentials were not provided."),
        ("Bearer", "Invalid token header format."),
        ("Bearer a b", "Invalid token header format."),
        ("Bearer ä", "Invalid token header encoding."),
        ("Bearer abc", "Token decode error."),
        (f"Bearer {signed_with_another_key()}", "Token decode error."),
        (f"Bearer {unsigned()}", "Token decode error."),
        (f"Bearer {without_subject()}", "Token missing subject."),
    ],
)
async def test_bad_credentials_are_refused_in_the_published_words(authorization, details):
    answer = await jobs_with(authorization)
    assert (answer.status_code, answer.json()) == (401, {"detail": details})
    assert answer["WWW-Authenticate"] == "Bearer"


async def test_a_token_dies_with_the_users_place_on_the_list(user):
    await in_database(AllowedHotkey.objects.filter(hotkey=user.hotkey).delete)
    answer = await user.get("/api/v1/jobs/")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized hotkey."})


async def test_a_token_is_known_by_the_headers_alone(user):
    def known(header: str) -> bool:
        return auth.has_valid_token([(b"authorization", header.encode("latin-1"))])

    assert known(f"Bearer {user.token}")
    assert not auth.has_valid_token([])
    stale = auth.token(user.hotkey, now=0)
    for header in ("", "Bearer", f"Basic {user.token}", "Bearer x", "Bearer ü", f"Bearer {stale}"):
        assert not known(header)


async def test_a_long_body_with_an_expired_token_is_refused_as_such(user, line):
    user.token = auth.token(user.hotkey, now=0)
    answer = await user.create(env={"A": "x" * 200_000})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token expired."})


@pytest.mark.parametrize(
    ("known_as", "name"),
    [
        (None, "testserver"),
        ("fd00::1", "fd00::1"),
        ("api.f.example", "api.f.example"),
        ("evil.example", "testserver"),
        ("x" * 200 + ".f.example", "testserver"),
    ],
)
async def test_a_nonce_names_the_facilitator_that_gave_it_so_that_none_is_passed_on(
    known_as, name, configure
):
    configure(allowed_hosts=[".f.example", "testserver", "[fd00::1]"])
    headers = {"X-CH-Facilitator-Host": known_as} if known_as else {}
    nonce = (await AsyncClient().get("/auth/nonce", headers=headers)).json()["nonce"]
    assert nonce.split("+")[1].rsplit(":", 2)[0] == name
    signature = bytes(USER.sign(nonce.encode())).hex()
    answer = await log_in(hotkey=USER.ss58_address, signature=signature, nonce=nonce)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("evil.example:80", "f.example"),
        ("API.f.example:8000", "api.f.example"),
        ("", "f.example"),
        ("[FD00::1]:8000", "fd00::1"),
    ],
)
def test_whatever_host_is_asked_for_a_nonce_names_one_of_ours(host, name, configure):
    configure(allowed_hosts=[".f.example", "[fd00::1]"])
    assert auth.audience_name(RequestFactory().get("/auth/nonce", headers={"Host": host})) == name
