"""URLs reach only allowed addresses, and no secret is sent along."""

import io
import socket
import ssl
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from compute_horde.addresses import Reach
from executor.transfer.http_client import HttpClient
from executor.transfer.http_errors import WebError
from tests.executor.conftest import time_for


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("executor.transfer.retries.FIRST_WAIT_SECONDS", 0)


@pytest.fixture
async def client():
    async with HttpClient(Reach(allow_private=True), time_for(3)) as made:
        yield made


async def fetched(client, url):
    target = io.BytesIO()
    await client.fetch(url, target, limit=10**7)
    return target.getvalue()


@pytest.fixture
def names(monkeypatch):
    """Scripted DNS answers of an attacker; the last one is repeated."""
    book = {}

    def getaddrinfo(host, port, *_, **__):
        answers = book[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        families = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in found]
        ends = [(one, port, 0, 0) if ":" in one else (one, port) for one in found]
        return [(family, *kind, end) for family, end in zip(families, ends, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return book


def port_of(site):
    return (site / "").split(":")[2].strip("/")


async def test_of_several_addresses_only_those_that_may_be_are_reached(site, names, monkeypatch):
    site.answers["/f"] = lambda request: web.Response(body=b"public")
    monkeypatch.setattr("compute_horde.addresses.is_public", lambda address: address == "127.0.0.1")
    names["both.example"] = [["10.0.0.1", "169.254.169.254", "127.0.0.1"]]
    names["none.example"] = [["10.0.0.1", "fd00::1", "127.0.0.2"]]
    async with HttpClient(Reach(), time_for(3)) as careful:
        assert await fetched(careful, f"http://both.example:{port_of(site)}/f") == b"public"
        with pytest.raises(WebError, match="not a public address"):
            await fetched(careful, f"http://none.example:{port_of(site)}/f")
    assert len(site.asked) == 1


async def test_a_name_that_leads_elsewhere_the_second_time_gains_nothing(site, names, monkeypatch):
    monkeypatch.setattr("compute_horde.addresses.is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr("executor.transfer.http_client.DNS_SECONDS", 0)
    names["rebound.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    away = f"http://rebound.example:{port_of(site)}/f"

    def answer(request):
        return web.Response(status=302, headers={"Location": away, "Connection": "close"})

    site.answers["/f"] = answer
    async with HttpClient(Reach(), time_for(3)) as careful:
        with pytest.raises(WebError, match=r"10\.0\.0\.1 is not a public address"):
            await fetched(careful, away)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "host", ["0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1", "017700000001", "[::ffff:7f00:1]"]
)
async def test_odd_ways_to_write_an_address_are_seen_through(site, host):
    async with HttpClient(Reach(), time_for(3)) as careful:
        with pytest.raises(WebError):
            await fetched(careful, f"http://{host}:{port_of(site)}/f")
    assert site.asked == []


async def test_a_proxy_of_the_environment_is_not_used(client, site, monkeypatch):
    site.answers["/f"] = lambda request: web.Response(body=b"direct")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await fetched(client, site / "f") == b"direct"


async def test_credentials_stay_with_the_host_they_are_for(client, site):
    site.answers["/f"] = lambda request: web.Response(body=b"x")
    there = (site / "f").replace("127.0.0.1", "localhost")
    site.answers["/away"] = lambda request: web.Response(status=302, headers={"Location": there})
    site.answers["/near"] = lambda request: web.Response(status=302, headers={"Location": "/f"})
    seen = {}
    for path in ("near", "away"):
        target = io.BytesIO()
        headers = {"Authorization": "Bearer secret"}
        await client.fetch(site / path, target, limit=10, headers=headers)
        seen[path] = site.asked[-1][2].get("authorization")
    with_password = (site / "away").replace("//", "//user:secret@")
    await fetched(client, with_password)
    assert seen == {"near": "Bearer secret", "away": None}
    assert "authorization" in site.asked[-2][2]
    assert "authorization" not in site.asked[-1][2]


async def test_a_certificate_of_nobody_is_refused_at_once(client):
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=self_signed())
    with pytest.raises(WebError, match=r"127\.0\.0\.1: its TLS certificate is not valid"):
        await fetched(client, str(server.make_url("/f")))
    await server.close()


def self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        pem = serialization.Encoding.PEM
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write(key.private_bytes(pem, *plain) + made.public_bytes(pem))
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def test_no_secret_of_a_url_is_told(client, site):
    site.answers["/f"] = lambda request: web.Response(status=403)
    with pytest.raises(WebError, match="has the signed URL expired") as failed:
        await fetched(client, (site / "f").replace("//", "//user:secret@") + "?sig=secret")
    assert "secret" not in str(failed.value)
