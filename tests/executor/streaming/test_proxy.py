"""The proxy accepts its user only, and is not blocked by other clients."""

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from compute_horde.streaming.certificates import LOCAL, new_identity
from executor.streaming import proxy as proxy_module
from tests.executor.service import client
from tests.executor.streaming.conftest import SERVER, USER, running

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("identity", [None, new_identity()], ids=["none", "another"])
async def test_without_the_certificate_nobody_is_answered(service, proxy, identity):
    async with proxy.client(identity) as stranger:
        with pytest.raises(httpx.TransportError):
            await stranger.get("/hello")
    assert service.asked == []


async def test_plain_http_is_not_answered(proxy):
    async with httpx.AsyncClient() as stranger:
        with pytest.raises(httpx.TransportError):
            await stranger.get(f"http://127.0.0.1:{proxy.port}/hello")


def authority():
    """A user's CA certificate, and a certificate signed by it."""
    above, below = new_identity(), new_identity()
    builder = (
        x509.CertificateBuilder()
        .subject_name(LOCAL)
        .issuer_name(LOCAL)
        .not_valid_before(above.certificate.not_valid_before_utc)
        .not_valid_after(above.certificate.not_valid_after_utc)
    )

    def made(identity, *, ca):
        signed = builder.public_key(identity.private_key.public_key())
        signed = signed.serial_number(x509.random_serial_number()).add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        )
        certificate = signed.sign(above.private_key, hashes.SHA256())
        return type(identity)(certificate, identity.private_key)

    return made(above, ca=True), made(below, ca=False)


async def test_a_certificate_that_the_user_s_vouches_for_is_another(service):
    above, below = authority()
    with running(service.folder, above.pem) as proxy:
        async with proxy.client(below) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get("/hello")
        async with proxy.client(above) as asks:
            assert (await asks.get("/hello")).status_code == 200


async def test_health_is_told_once_it_is_there(service, own_proxy):
    service.healthy = False
    own_proxy.send("ask")
    assert await asyncio.to_thread(own_proxy.says, within=1) == ""
    service.healthy = True
    assert await asyncio.to_thread(own_proxy.says) == "healthy"


def test_it_ends_with_its_executor(own_proxy):
    own_proxy.process.stdin.close()
    assert own_proxy.process.wait(30) == 0


async def test_it_may_do_nothing(proxy):
    process = psutil.Process(proxy.process.pid)
    assert process.uids().real == process.uids().effective != 0
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status


async def test_silent_strangers_keep_nobody_out(proxy):
    silent = [
        socket.create_connection(("127.0.0.1", proxy.port))
        for _ in range(proxy_module.MAX_UNAUTHENTICATED_PER_ADDRESS // 2)
    ]
    try:
        async with proxy.client() as asks:
            assert (await asks.get("/hello")).status_code == 200
    finally:
        for one in silent:
            one.close()


async def test_too_many_strangers_are_hung_up_on(proxy):
    held = [
        socket.create_connection(("127.0.0.1", proxy.port))
        for _ in range(proxy_module.MAX_UNAUTHENTICATED_PER_ADDRESS)
    ]
    loop = asyncio.get_running_loop()
    try:
        with socket.create_connection(("127.0.0.1", proxy.port)) as more:
            more.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(more, 1), 8) == b""
    finally:
        for one in held:
            one.close()
    async with proxy.client() as asks:
        assert (await asks.get("/hello")).status_code == 200


async def raw(proxy, data):
    """The proxy's answer to raw bytes of the user, until it closes the connection."""
    from tests.executor.service import user

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=user(SERVER.pem, USER)
    )
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\r\n\r\n",
        HELLO + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        HELLO + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HELLO + b"Content-Length: -1\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_request_of_ours_is_refused(service, proxy, data):
    answer = await raw(proxy, data)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert service.asked == []
    async with client(proxy.port, SERVER.pem, USER) as asks:
        assert (await asks.get("/hello")).status_code == 200


async def test_a_certificate_it_cannot_use_is_no_way_in(service):
    with pytest.raises(AssertionError), running(service.folder, "PEM"):
        pass


async def test_a_cookie_of_one_answer_is_not_sent_with_another_s_request(service, proxy):
    async with proxy.client() as one, proxy.client() as other:
        assert "whose" in (await one.get("/baker")).headers["Set-Cookie"]
        await other.get("/hello")
    assert "cookie" not in service.asked[-1][2]
