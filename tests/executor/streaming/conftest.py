"""A proxy in its own process, in front of a service on a unix socket."""

import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import sys

import pytest
from aiohttp import WSMsgType, web

from compute_horde.streaming.certificates import new_identity
from tests.executor.service import client

USER, SERVER = new_identity(), new_identity()
BODY_MAX_BYTES = 1_000_000


class Service:
    """A job's service with correct and faulty answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.healthy = True
        self.ticking = asyncio.Event()
        self.gone = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/ws":
            return await self._echo(request)
        if request.path == "/upload":
            return await self._count(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.raw_path, headers, await request.read()))
        return await getattr(self, f"_{request.path.strip('/')}")(request)

    async def _hello(self, request: web.BaseRequest) -> web.Response:
        headers = {"X-Own": "a", "Connection": "keep-alive, X-Hop", "X-Hop": "b"}
        return web.Response(text="hello\n", headers=headers)

    async def _health(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=200 if self.healthy else 503)

    async def _baker(self, request: web.BaseRequest) -> web.Response:
        return web.Response(headers={"Set-Cookie": "whose=another's; Path=/"})

    async def _teapot(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=418, text="short and stout")

    async def _empty(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=204)

    async def _moved(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": "/hello"})

    async def _large(self, request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"z" * 9 * 2**20)

    async def _ticks(self, request: web.BaseRequest) -> web.StreamResponse:
        """Sends one piece, another once the test has seen it, then endlessly many."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            await answer.write(b"one")
            await self.ticking.wait()
            while True:
                await answer.write(b"two")
                await asyncio.sleep(0.01)
        finally:
            self.gone.set()

    async def _cut(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"half")
        request.transport.abort()
        return answer

    async def _count(self, request: web.BaseRequest) -> web.Response:
        count = 0
        async for piece in request.content.iter_any():
            count += len(piece)
        return web.Response(text=str(count))

    async def _echo(self, request: web.BaseRequest) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(protocols=["talk"])
        await answer.prepare(request)
        async for message in answer:
            if message.type is WSMsgType.TEXT and message.data == "bye":
                await answer.close(code=4001)
            elif message.type is WSMsgType.TEXT:
                await answer.send_str(message.data)
            else:
                await answer.send_bytes(message.data)
        return answer


class Proxied:
    """A running proxy."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port

    def client(self, identity=USER):
        return client(self.port, SERVER.pem, identity)

    def says(self, *, within: float = 60) -> str:
        """The next line, or nothing after so many seconds."""
        readable, _, _ = select.select([self.process.stdout], [], [], within)
        return self.process.stdout.readline().strip() if readable else ""

    def send(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the relay's socket is, of one service after the other."""
    made = tmp_path_factory.mktemp("relay")
    # The proxy has no rights of root, and opens the socket when it has none any more.
    made.chmod(0o755)
    return made


@pytest.fixture
async def service(folder):
    """The job's side of the relay."""
    made = Service()
    runner = web.ServerRunner(web.Server(made.answer))
    await runner.setup()
    await web.UnixSite(runner, str(folder / "socket")).start()
    (folder / "socket").chmod(0o666)
    made.folder = folder
    yield made
    made.ticking.set()
    await runner.cleanup()


@contextlib.contextmanager
def running(folder, client_certificate=USER.pem):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = {
            "listener": listener.fileno(),
            "parent": os.getpid(),
            "folder": str(folder),
            "certificate": SERVER.pem,
            "private_key": SERVER.key_pem,
            "client_certificate": client_certificate,
            "body_max_bytes": BODY_MAX_BYTES,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "executor.streaming.proxy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            text=True,
        )
        made = Proxied(process, listener.getsockname()[1])
    with process:
        try:
            made.send(json.dumps(config))
            assert made.says() == "ready"
            yield made
        finally:
            process.kill()


@pytest.fixture
def proxy(service, shared_proxy):
    """The proxy in front of the service, with its user's certificate."""
    return shared_proxy


@pytest.fixture(scope="module")
def shared_proxy(folder):
    """One for all tests that do not end it: it starts slowly, and asks the service anew."""
    with running(folder) as made:
        yield made


@pytest.fixture
def own_proxy(service):
    """A proxy that may be spoken to and ended."""
    with running(service.folder) as made:
        yield made
