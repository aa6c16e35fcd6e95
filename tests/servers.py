"""A service's web server as a process of its own, and what a hostile client sends it."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

READY_WITHIN_SECONDS = 150
MEGABYTE = 2**20


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def database_url() -> str:
    """That of the tests' own database."""
    at = connection.settings_dict
    login = f"{at['USER']}:{at['PASSWORD']}".rstrip(":")
    return f"postgresql://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


@dataclass(frozen=True)
class WebServer:
    """A running server."""

    process: psutil.Process
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """Bytes that the process has in memory."""
        return int(self.process.memory_info().rss)

    def status(self, head: bytes, piece: bytes = b"", times: int = 0) -> int:
        """The status of the answer to this, or 0 for none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as peer:
            with suppress(OSError):
                peer.sendall(head)
                for _ in range(times):
                    peer.sendall(piece)
            answer = b""
            with suppress(OSError):
                while b"\r\n" not in answer and (more := peer.recv(4096)):
                    answer += more
        return int(answer.split()[1]) if answer else 0


@contextmanager
def web_server(module: str, *words: str, **settings: str) -> Iterator[WebServer]:
    """`python -m module words…`, told these settings, until the block ends."""
    port, prefix = free_port(), module.upper()
    told = {"HOST": "127.0.0.1", "PORT": str(port), "DATABASE_URL": database_url()} | settings
    env = os.environ | {f"{prefix}_{name}": value for name, value in told.items()}
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen([sys.executable, "-m", module, *words], env=env, stderr=log)
        try:
            _wait_until_healthy(process, port)
            yield WebServer(psutil.Process(process.pid), port, Path(log.name))
        finally:
            process.terminate()
            process.wait(30)


def check_of_deployment(module: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """What Django says of a service with these settings, warnings being failures."""
    env = os.environ | {f"{module.upper()}_{name}": value for name, value in settings.items()}
    words = ["manage", "check", "--deploy", "--fail-level", "WARNING"]
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def check_that_a_deployment_is_safe_or_says_what_is_not(module: str, host: str) -> None:
    """`host` is the setting that says where the admin listens."""
    for settings in ({"HTTPS": "true", host: "0.0.0.0"}, {host: "127.0.0.1"}):
        checked = check_of_deployment(module, **settings)
        assert checked.returncode == 0, checked.stderr
    checked = check_of_deployment(module, **{host: "0.0.0.0"})
    assert (checked.returncode, "SESSION_COOKIE_SECURE" in checked.stderr) == (1, True)
    # Long, and of one letter.
    checked = check_of_deployment(module, SECRET_KEY="a" * 60)
    assert checked.returncode
    assert "at least 50 characters" in checked.stderr


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(f"the server did not come up; exit status {process.poll()}")


def check_that_floods_cost_no_memory(server: WebServer) -> None:
    """What was measured on servers without bounds: 210 MB for headers, 150 MB for a body."""
    get = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    post = b"POST /health HTTP/1.1\r\nHost: x\r\n"
    # What the first request of each kind costs once.
    assert server.status(get + b"\r\n") == 200
    server.status(get, b"A: b\r\n", 10_000)
    before = server.memory()
    assert server.status(get, (b"A: " + b"x" * 1000 + b"\r\n") * 1000, 60) in (0, 431)
    assert server.status(get + b"A: ", b"x" * MEGABYTE, 60) in (0, 431)
    assert server.status(post + b"Content-Length: 157286400\r\n\r\n", b"x" * MEGABYTE, 150) == 413
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    assert server.status(chunked, b"100000\r\n" + b"x" * MEGABYTE + b"\r\n", 150) in (0, 413)
    assert server.memory() - before < 8 * MEGABYTE
    assert server.status(get + b"\r\n") == 200


def check_that_strangers_cause_no_tracebacks(server: WebServer, socket_path: bytes = b"") -> None:
    """Paths, hosts and frames that cannot be, and clients that leave while they are answered."""
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n"
    for path in (b"/static/../../../etc/passwd", b"/static/%00", b"/static/" + b"a" * 300):
        assert server.status(head % (path, b"x")) == 404
    for host in (b"127.0.0.1;23", b"a b", b"\xef\xbe.1:8"):
        assert server.status(head % (b"/admin/login/", host)) in (400, 404)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as peer:
            peer.sendall(head % (b"/admin/login/", b"127.0.0.1"))
            # A reset instead of a goodbye.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if socket_path:
        for data in (b'"\xff\xfe"', b"\x80"):
            url = f"ws://127.0.0.1:{server.port}{socket_path.decode()}"
            with connect(url, proxy=None) as peer, suppress(ConnectionClosed):
                peer.send(data, text=True)
                while peer.recv(timeout=10):
                    pass
    # Whatever was still being answered is answered before this.
    assert server.status(head % (b"/health", b"127.0.0.1")) == 200
    log = server.log.read_text()
    assert "Traceback" not in log, log[-4000:]


def check_that_silence_is_ended(server: WebServer) -> None:
    """Connections that say nothing, or half of something, are closed after their ten seconds."""
    began = time.monotonic()
    with suppress(OSError):
        peers = [socket.create_connection(("127.0.0.1", server.port), 90) for _ in range(3)]
        peers[1].sendall(b"GET /health HTT")
        peers[2].sendall(b"POST /health HTTP/1.1\r\nHost: x\r\nA")
    for peer in peers:
        with peer, suppress(OSError):
            while peer.recv(4096):
                pass
    assert 5 < time.monotonic() - began < 60


def check_that_one_address_cannot_take_all(server: WebServer) -> None:
    """With two connections allowed for an address, a third is told so."""
    peers = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(2)]
    assert server.status(b"") == 503
    for peer in peers:
        peer.close()
