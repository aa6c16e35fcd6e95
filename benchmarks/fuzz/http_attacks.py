"""Attacks on an HTTP server over raw sockets."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.fuzz.mutations import Mutator
from benchmarks.fuzz.pace import Pace

ANSWER_SECONDS = 20
MAX_HELD_CONNECTIONS = 40
CONNECTION_REFUSED = "connection refused"
# Only of what must never be answered the whole status is told.
STATUS = re.compile(rb"HTTP/1\.1 (500|[1-5])")
SERVER_ERROR = "answered 500"
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "CONNECT", "BREW")
PATHS = (
    "/",
    "/health",
    "/metrics",
    "/version",
    "/admin/login/",
    "/admin/login/?next=//evil.example/",
    "/admin/jobs/job/",
    "/static/../../etc/passwd",
    "/static/admin/css/base.css",
    "/receipts/0.jsonl",
    "/receipts/5964000.jsonl",
    "/auth/nonce",
    "/auth/login",
    "/api/v1/job-docker/",
    "/api/v1/jobs/",
    "/api/v1/jobs/?page=999999999999",
    "/api/v1/jobs/%00/",
    "/api/v1/jobs/{uuid}/",
    "/api/v1/jobs/{uuid}/events",
    "/api/v1/jobs/{uuid}/logs?position=-1",
    "/api/v1/jobs/{uuid}/cancel/",
    "/api/v1/cheated-job/",
    "/ws/v0/",
    "/v0.1/validator_interface/x",
    "/v0.1/executor_interface/x",
    "/%2e%2e/%2e%2e/etc/passwd",
    "http://169.254.169.254/",
    "*",
)


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """An HTTP server under attack; `valid` makes a request that the server accepts."""

    name: str
    url: str
    valid: Callable[[], tuple[str, dict[str, str], bytes]]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port


class HttpAttacker:
    """One attacker of one server; `run` ends at the deadline of `pace`."""

    def __init__(self, target: HttpTarget, mutator: Mutator, pace: Pace) -> None:
        self._target, self._mutator, self._pace = target, mutator, pace
        self._random = mutator.random
        self._held: list[asyncio.StreamWriter] = []

    async def run(self) -> None:
        """Make random attacks until the deadline."""
        attacks = (
            *(self._request,) * 8,
            *(self._valid_changed,) * 8,
            *(self._noise,) * 4,
            self._long_headers,
            self._long_body,
            self._chunks,
            self._half_sent,
            self._pipelined,
        )
        try:
            while not self._pace.is_over():
                attack = self._random.choice(attacks)
                await self._pace.turn(f"{self._target.name}: {attack.__name__.strip('_')}")
                try:
                    await attack()
                except ConnectionRefusedError:
                    self._pace.answers[f"{self._target.name}: {CONNECTION_REFUSED}"] += 1
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    continue
        finally:
            for writer in self._held:
                writer.close()

    async def _send(self, data: bytes) -> None:
        """Send data and read the answer, up to a maximum time and size."""
        reader, writer = await asyncio.open_connection(*self._target.address)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(data)
                await writer.drain()
                if self._random.random() < 0.5:
                    writer.write_eof()
                answer = await reader.read(2**16)
                if status := STATUS.match(answer):
                    kind = status[1].decode().ljust(3, "x")
                    self._pace.answers[f"{self._target.name}: answered {kind}"] += 1
        finally:
            writer.transport.abort()

    def _path(self) -> str:
        path = self._random.choice(PATHS).replace("{uuid}", str(uuid4()))
        return path + "?" + "x" * 3000 if self._random.random() < 0.05 else path

    def _head(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._target.url.split('//')[1]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"

    async def _request(self) -> None:
        headers = {"Connection": "close"}
        names = ("Cookie", "Range", "Accept-Encoding", "Authorization", "Origin", "Expect")
        for name in self._random.sample(names, k=2):
            headers[name] = str(self._mutator.value())[:4000].replace("\n", " ").replace("\r", " ")
        await self._send(self._head(self._random.choice(METHODS), self._path(), headers))

    async def _valid_changed(self) -> None:
        """Send a valid request with its body or its bytes changed."""
        path, headers, body = self._target.valid()
        if body and self._random.random() < 0.7:
            changed: Any = self._mutator.changed(json.loads(body))
            body = json.dumps(changed).encode()
        headers = headers | {"Content-Length": str(len(body)), "Connection": "close"}
        data = self._head("POST" if body else "GET", path, headers) + body
        await self._send(data if self._random.random() < 0.7 else self._mutator.bytes_changed(data))

    async def _noise(self) -> None:
        await self._send(self._random.randbytes(self._random.choice((1, 100, 5000))))

    async def _long_headers(self) -> None:
        fields = "".join(f"X-{n}: {'y' * 1000}\r\n" for n in range(self._random.choice((40, 2000))))
        await self._send(f"GET /health HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())

    async def _long_body(self) -> None:
        size = self._random.choice((2**20, 2**24, 2**26))
        headers = {"Content-Length": str(size), "Content-Type": "application/json"}
        await self._send(self._head("POST", self._path(), headers) + b"[" * min(size, 2**22))

    async def _chunks(self) -> None:
        head = self._head("POST", self._path(), {"Transfer-Encoding": "chunked"})
        chunk = (
            b"400;" + b"e" * self._random.choice((0, 10, 9000)) + b"\r\n" + b"z" * 1024 + b"\r\n"
        )
        end = self._random.choice((b"0\r\n\r\n", b"-1\r\n", b"ffffffffffffffff\r\n", b""))
        await self._send(head + chunk * self._random.choice((1, 100, 2000)) + end)

    async def _half_sent(self) -> None:
        """Send the beginning of a request and keep the connection open."""
        _reader, writer = await asyncio.open_connection(*self._target.address)
        data = self._head("POST", self._path(), {"Content-Length": "100000"})
        writer.write(data[: self._random.randrange(len(data))])
        self._held.append(writer)
        if len(self._held) > MAX_HELD_CONNECTIONS:
            self._held.pop(0).transport.abort()

    async def _pipelined(self) -> None:
        one = self._head("GET", self._path(), {})
        await self._send(one * self._random.choice((2, 50, 500)))
