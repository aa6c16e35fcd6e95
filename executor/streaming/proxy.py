"""`python -m executor.streaming.proxy`: TLS in front of one streaming job, in a process of its own.

It has no way to the container engine and, where it began as root, no rights: what strangers and
the job say is only ever read here.

stdin   {"certificate": …, …}  first, see `Order`
        ask                    is the service there yet?
        the end                ends it
stdout  ready                  it listens
        healthy                the service said so
"""

import asyncio
import json
import os
import resource
import socket
import ssl
import sys
from collections import Counter
from dataclasses import dataclass

import aiohttp
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from compute_horde import certificates
from executor.parenthood import die_with_parent
from executor.streaming.forward import Forwarder

STDIN = 0
NOBODY = 65534
HANDSHAKE_SECONDS = 10.0
# Not yet known by their certificate.
STRANGERS, STRANGERS_PER_ADDRESS = 256, 64
CONNECTIONS = 128
OPEN_FILES = 1024
# Services close idle connections, most of them after 2 seconds or more; we must be first.
REUSED_WITHIN_SECONDS = 1.5
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 75.0
POLL_SECONDS, SLOW_POLL_SECONDS = 0.05, 0.5
HEALTH_SECONDS = 5.0
EXHAUSTED_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What the executor wants; `folder` holds the relay's `socket`."""

    listener: int
    parent: int
    folder: str
    certificate: str
    private_key: str
    client_certificate: str
    body_max_bytes: int

    @classmethod
    def read(cls) -> "Order":
        """The first line of stdin, and no byte more."""
        with open(STDIN, "rb", buffering=0, closefd=False) as told:
            return cls(**json.loads(told.readline()))


def tls(order: Order) -> ssl.SSLContext:
    """Nobody but the holder of the one client certificate gets through."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=order.client_certificate)
    file = os.memfd_create("identity")
    with os.fdopen(file, "w") as identity:
        identity.write(order.private_key + order.certificate)
        identity.flush()
        context.load_cert_chain(f"/proc/self/fd/{file}")
    return context


def confine(order: Order) -> None:
    """Give away all we may do, once all that needs it is done."""
    # Relative from here on: the folder is below ones that only the executor may enter.
    os.chdir(order.folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    die_with_parent(order.parent)


class Gate:
    """Lets in who shows the certificate; the others are few, and not for long."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, expected: bytes) -> None:
        self._listener = listener
        self._context = context
        self._expected = expected
        self._strangers: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def admit(self, server: web.Server) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                stranger, address = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(EXHAUSTED_SECONDS)
                continue
            if self._is_too_much(address[0]) or len(server.connections) >= CONNECTIONS:
                stranger.close()
                continue
            self._strangers[address[0]] += 1
            task = asyncio.create_task(self._greet(stranger, address[0], server))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_too_much(self, address: str) -> bool:
        if self._strangers[address] >= STRANGERS_PER_ADDRESS:
            return True
        return self._strangers.total() >= STRANGERS

    async def _greet(self, stranger: socket.socket, address: str, server: web.Server) -> None:
        stranger.setblocking(False)
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                server,
                stranger,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError:
            stranger.close()
            return
        finally:
            self._strangers[address] -= 1
            if not self._strangers[address]:
                del self._strangers[address]
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if shown != self._expected:
            transport.abort()


async def serve(order: Order, listener: socket.socket, context: ssl.SSLContext) -> None:
    """Until stdin ends."""
    key = load_pem_private_key(order.private_key.encode(), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101
    connector = aiohttp.UnixConnector(
        path="socket", limit=CONNECTIONS, keepalive_timeout=REUSED_WITHIN_SECONDS
    )
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    quiet = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=limits,
        auto_decompress=False,
        skip_auto_headers=quiet,
        # Cookies are the user's to keep; here, one request would be sent with those of another.
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        forwarder = Forwarder(session, key, order.body_max_bytes)
        server = web.Server(
            forwarder.answer,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            auto_decompress=False,
        )
        expected = certificates.read(order.client_certificate).public_bytes(Encoding.DER)
        gate = Gate(listener, context, expected)
        admitting = asyncio.create_task(gate.admit(server))
        print("ready", flush=True)
        await _obey(forwarder)
        admitting.cancel()


async def _obey(forwarder: Forwarder) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    asking = None
    while line := await reader.readline():
        if line.strip() == b"ask" and asking is None:
            asking = asyncio.create_task(_until_healthy(forwarder))


async def _until_healthy(forwarder: Forwarder) -> None:
    pause = POLL_SECONDS
    while not await forwarder.is_healthy(HEALTH_SECONDS):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, SLOW_POLL_SECONDS)
    print("healthy", flush=True)


def main() -> int:
    order = Order.read()
    context = tls(order)
    listener = socket.socket(fileno=order.listener)
    listener.setblocking(False)
    confine(order)
    uvloop.run(serve(order, listener, context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
