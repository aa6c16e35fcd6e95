"""Connections use the environment's proxies and certificates, and redirect to no other server."""

import socket

import httpx
import pytest

from compute_horde.errors import ConfigurationError
from compute_horde_sdk.facilitator import connection
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    FacilitatorUnreachable,
)
from tests.compute_horde_sdk.pretend import USER, VALIDATOR

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    connection._tls_context.cache_clear()
    yield
    connection._tls_context.cache_clear()


def client_of(url):
    return ComputeHordeClient(USER, VALIDATOR, facilitator_url=url)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/no/such/authority.pem"),
        ("SSL_CERT_FILE", __file__),
        ("HTTPS_PROXY", "gopher://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:port"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(server, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        await client_of(server.url).get_jobs()
    assert value.replace("me:secret@", "") in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_does_not_answer_is_named_without_its_password(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(
        FacilitatorUnreachable, match=rf"proxy http://127\.0\.0\.1:{port}"
    ) as caught:
        await client_of("http://facilitator.example/").get_jobs()
    assert "secret" not in str(caught.value)
    assert "NO_PROXY" in str(caught.value)


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:9/",
        "http://localhost:{port}/api/v1/jobs/",
        "https://127.0.0.1:{port}/api/v1/jobs/",
    ],
)
async def test_nobody_is_asked_whom_the_user_did_not_name(server, to):
    where = to.format(port=httpx.URL(server.url).port)
    server.redirects["GET /api/v1/jobs/"] = where
    client = client_of(server.url)
    with pytest.raises(ComputeHordeError, match="facilitator's URL") as caught:
        await client.get_jobs()
    assert where in str(caught.value)
    assert len(server.seen("GET /api/v1/jobs/")) == 1
    await client.aclose()


async def test_a_job_is_not_posted_anew_as_something_else(server, spec):
    server.redirects["POST /api/v1/job-docker"] = f"{server.url}api/v1/jobs/"
    client = client_of(server.url)
    with pytest.raises(ComputeHordeError, match="is redirected to"):
        await client.create_job(spec)
    assert not server.seen("GET /api/v1/jobs/")
    await client.aclose()


async def test_redirects_on_the_same_server_are_followed(server, client, spec):
    job = await client.create_job(spec)
    old = "00000000-0000-4000-8000-000000000000"
    server.redirects[f"GET /api/v1/jobs/{old}/"] = f"/api/v1/jobs/{job.uuid}/"
    assert (await client.get_job(old)).uuid == job.uuid


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("http://x/a", "http://x:80/b", True),
        ("http://x/a", "https://x/b", True),
        ("https://x/a", "http://x/b", False),
        ("http://x/a", "https://x:8443/b", False),
        ("https://x/a", "https://y/a", False),
    ],
)
def test_which_redirects_stay_on_a_server(old, new, same):
    assert connection._same_server(httpx.URL(old), httpx.URL(new)) is same
