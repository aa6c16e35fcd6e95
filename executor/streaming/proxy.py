"""`python -m executor.streaming.proxy`: the TLS proxy of one streaming job, a separate process.

It cannot reach the container engine and drops root privileges, since only it parses the data of
unknown clients and of the job.

stdin   {"certificate": …, …}  the first line, see `ProxyConfig`
        ask                    report when the service is healthy
        end of file            stop
stdout  ready                  the proxy listens
        healthy                the service is healthy
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

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.platform.parent_death import die_with_parent
from compute_horde.streaming import certificates
from executor.streaming.forward import Forwarder

STDIN = 0
NOBODY = 65534
HANDSHAKE_SECONDS = 10.0
# Connections during their TLS handshake, in all and per address.
MAX_UNAUTHENTICATED, MAX_UNAUTHENTICATED_PER_ADDRESS = 256, 64
CONNECTIONS = 128
OPEN_FILES = 1024
# Most services close idle connections after 2 seconds or more; the proxy must do so earlier.
REUSED_WITHIN_SECONDS = 1.5
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 75.0
POLL_SECONDS, SLOW_POLL_SECONDS = 0.05, 0.5
HEALTH_SECONDS = 5.0
EXHAUSTED_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The settings from the executor.

    `listener` is a file descriptor, `parent` the executor's pid, `folder` holds the relay's
    `socket`; keys and certificates are PEM.
    """

    listener: int
    parent: int
    folder: str
    certificate: str
    private_key: str
    client_certificate: str
    body_max_bytes: int

    @classmethod
    def read(cls) -> "ProxyConfig":
        """Read the first line of stdin, unbuffered, so that the next lines stay readable."""
        with open(STDIN, "rb", buffering=0, closefd=False) as stdin:
            return cls(**json.loads(stdin.readline()))


def tls(config: ProxyConfig) -> ssl.SSLContext:
    """A TLS context that accepts only the one client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=config.client_certificate)
    file = os.memfd_create("identity")
    with os.fdopen(file, "w") as identity:
        identity.write(config.private_key + config.certificate)
        identity.flush()
        context.load_cert_chain(f"/proc/self/fd/{file}")
    return context


def confine(config: ProxyConfig) -> None:
    """Drop privileges and limit resources; called when everything that needs them is done."""
    # The socket is opened relative to here: only the executor may enter the folders above.
    os.chdir(config.folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    die_with_parent(config.parent)


class Gate:
    """Accepts connections with the client certificate, and limits unauthenticated ones."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, expected: bytes) -> None:
        self._listener = listener
        self._context = context
        self._expected = expected
        self._unauthenticated: Counter[str] = Counter()
        self._tasks = TaskSet()

    async def admit(self, server: web.Server) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(EXHAUSTED_SECONDS)
                continue
            if self._is_too_much(address[0]) or len(server.connections) >= CONNECTIONS:
                connection.close()
                continue
            self._unauthenticated[address[0]] += 1
            self._tasks.spawn(self._handshake(connection, address[0], server))

    def _is_too_much(self, address: str) -> bool:
        if self._unauthenticated[address] >= MAX_UNAUTHENTICATED_PER_ADDRESS:
            return True
        return self._unauthenticated.total() >= MAX_UNAUTHENTICATED

    async def _handshake(self, connection: socket.socket, address: str, server: web.Server) -> None:
        connection.setblocking(False)
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                server,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError:
            connection.close()
            return
        finally:
            self._unauthenticated[address] -= 1
            if not self._unauthenticated[address]:
                del self._unauthenticated[address]
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if shown != self._expected:
            transport.abort()


async def serve(config: ProxyConfig, listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve until stdin ends."""
    key = load_pem_private_key(config.private_key.encode(), None)
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
        # Cookies stay with the user's client; a jar here would mix those of different requests.
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        forwarder = Forwarder(session, key, config.body_max_bytes)
        server = web.Server(
            forwarder.answer,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            auto_decompress=False,
        )
        expected = certificates.read(config.client_certificate).public_bytes(Encoding.DER)
        gate = Gate(listener, context, expected)
        admitting = asyncio.create_task(gate.admit(server))
        print("ready", flush=True)
        await _handle_commands(forwarder)
        admitting.cancel()


async def _handle_commands(forwarder: Forwarder) -> None:
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
    config = ProxyConfig.read()
    context = tls(config)
    listener = socket.socket(fileno=config.listener)
    listener.setblocking(False)
    confine(config)
    uvloop.run(serve(config, listener, context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
