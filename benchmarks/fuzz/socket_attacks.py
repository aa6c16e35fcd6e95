"""Attacks on websockets: as a client, and as a proxy of real connections."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bittensor_core import Keypair
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.fuzz.mutations import Mutator
from benchmarks.fuzz.pace import Pace
from compute_horde.protocol.handshake import FacilitatorLogin, ValidatorAuth

MAX_FRAMES_PER_CONNECTION = 40
ANSWER_SECONDS = 5
PING_SECONDS = 0.5
REMEMBERED_FRAMES = 64
REMEMBERED_BYTES = 2**16
DISCONNECTED = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError)

Login = Callable[[], str | None]
Socket = ClientConnection | ServerConnection


def validator_at_facilitator(key: Keypair) -> Login:
    """The published login of a validator at a facilitator."""
    return FacilitatorLogin.signed(key).encode


def validator_at_miner(key: Keypair, miner_hotkey: str) -> Login:
    """The login of a validator at a miner."""
    return lambda: ValidatorAuth.signed(key, miner_hotkey, int(time.time())).encode()


def no_login() -> None:
    """No login at all."""


class SocketAttacker:
    """A websocket client that sends valid, mutated and oversized frames."""

    def __init__(
        self, name: str, url: Callable[[], str], login: Login, mutator: Mutator, pace: Pace
    ) -> None:
        self._name, self._url, self._login = name, url, login
        self._mutator, self._pace = mutator, pace
        self._random = mutator.random

    async def run(self) -> None:
        """Connect and send frames, repeatedly, until the deadline."""
        while not self._pace.is_over():
            await self._pace.turn(f"{self._name}: connection")
            with contextlib.suppress(*DISCONNECTED):
                async with connect(
                    self._url(), compression=None, proxy=None, max_size=None, close_timeout=1
                ) as socket:
                    await self._send_frames(socket)

    async def _send_frames(self, socket: ClientConnection) -> None:
        if (login := self._login()) and self._random.random() < 0.9:
            await socket.send(login)
        for _ in range(self._random.randrange(MAX_FRAMES_PER_CONNECTION)):
            await self._pace.turn(f"{self._name}: frame")
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._send_one(socket)
            if self._random.random() < 0.3:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await socket.recv()

    async def _send_one(self, socket: ClientConnection) -> None:
        match self._random.randrange(20):
            case 0:
                await socket.ping(self._random.randbytes(100))
            case 1:
                await socket.send([self._mutator.frame()])
            case 2:
                # Text that is not UTF-8.
                await socket.send(b'"\xff\xfe"', text=True)
            case 3:
                with contextlib.suppress(RuntimeError):
                    # Raises once the peer has closed.
                    socket.transport.write(self._random.randbytes(64))
            case _:
                await socket.send(self._mutator.frame())


class InjectingProxy:
    """A proxy of real connections that relays frames and injects frames of its own.

    Injected frames are recorded frames, repeated or mutated, or made by the mutator. Each end sees
    them as sent by the other.
    """

    def __init__(
        self, name: str, target: str, port: int, mutator: Mutator, pace: Pace, *, share: float
    ) -> None:
        self._name, self._target, self._port = name, target, port
        self._mutator, self._pace = mutator, pace
        self._random = mutator.random
        # Fraction of connections that are attacked; ordinary jobs use the others.
        self._share = share
        self._recorded_frames: list[str] = []
        self.slowest_pong_seconds = 0.0
        self.is_attacking = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen on the port."""
        server = await serve(
            self._relay,
            "127.0.0.1",
            self._port,
            compression=None,
            max_size=None,
            ping_interval=None,
        )
        async with server:
            yield

    async def _relay(self, near: ServerConnection) -> None:
        assert near.request
        with contextlib.suppress(*DISCONNECTED):
            async with connect(
                self._target + near.request.path,
                compression=None,
                proxy=None,
                max_size=None,
                ping_interval=None,
                close_timeout=1,
            ) as far:
                await self._relay_both_ways(near, far)

    async def _relay_both_ways(self, near: ServerConnection, far: ClientConnection) -> None:
        is_attacked = self._random.random() < self._share
        async with asyncio.TaskGroup() as group:
            passing = [
                group.create_task(self._copy(near, far)),
                group.create_task(self._copy(far, near)),
            ]
            others = [group.create_task(self._ping(near))]
            if is_attacked:
                others += [
                    group.create_task(self._inject(near, "to the client")),
                    group.create_task(self._inject(far, "to the server")),
                ]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for task in (*passing, *others):
                task.cancel()

    async def _copy(self, source: Socket, sink: Socket) -> None:
        with contextlib.suppress(*DISCONNECTED):
            async for frame in source:
                text = frame if isinstance(frame, str) else frame.decode(errors="replace")
                if len(text) < REMEMBERED_BYTES:
                    self._recorded_frames = [*self._recorded_frames[-REMEMBERED_FRAMES:], text]
                await sink.send(frame)

    async def _inject(self, sink: Socket, direction: str) -> None:
        with contextlib.suppress(*DISCONNECTED):
            while not self._pace.is_over():
                await self._pace.turn(f"{self._name}: {direction}")
                if self.is_attacking:
                    await sink.send(self._frame())

    def _frame(self) -> str | bytes:
        if not self._recorded_frames or self._random.random() < 0.3:
            return self._mutator.frame()
        text = self._random.choice(self._recorded_frames)
        match self._random.randrange(3):
            case 0:
                return text
            case 1:
                return self._mutator.bytes_changed(text.encode())
        try:
            return json.dumps(self._mutator.changed(json.loads(text)))
        except ValueError:
            return text

    async def _ping(self, near: ServerConnection) -> None:
        """Measure how long the client's event loop takes to answer pings."""
        with contextlib.suppress(*DISCONNECTED):
            while True:
                await asyncio.sleep(PING_SECONDS)
                sent = time.perf_counter()
                await (await near.ping())
                if self.is_attacking:
                    waited = time.perf_counter() - sent
                    self.slowest_pong_seconds = max(self.slowest_pong_seconds, waited)


def executor_path() -> str:
    """The path at which an executor with an unknown token would connect."""
    return f"/v0.1/executor_interface/{secrets.token_urlsafe(32)}"
