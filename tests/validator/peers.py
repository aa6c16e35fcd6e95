"""A miner and a facilitator on real websockets that say what a test tells them to."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from bittensor_core import Keypair
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import FacilitatorLogin, Response, ValidatorAuth
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobFinished,
    JobOffered,
    JobPayload,
    JobRequested,
    VolumesReady,
)
from compute_horde.protocol.links import VALIDATOR_TO_FACILITATOR, VALIDATOR_TO_MINER
from compute_horde.protocol.message import Message
from compute_horde.protocol.status import StatusReported
from compute_horde.signing import sign_request, verify_hex
from compute_horde.vocabulary import SignatureScope

VALIDATOR = Keypair.create_from_uri("//Alice")
MINER = Keypair.create_from_uri("//Bob")
USER = Keypair.create_from_uri("//Charlie")
STRANGER = Keypair.create_from_uri("//Dave")

PATIENT_SECONDS = 10


def request(
    *, signer: Keypair | None = USER, timestamp_ns: int | None = None, **fields: Any
) -> JobRequested:
    """A small job, signed as users sign."""
    plain = JobRequested(
        **{
            "uuid": str(uuid4()),
            "executor_class": "always_on.test",
            "docker_image": "computehorde/busybox",
            "args": ["echo", "hi"],
            "env": {},
            "artifacts_dir": None,
            "download_time_limit": 5,
            "execution_time_limit": 10,
            "upload_time_limit": 5,
            "streaming_start_time_limit": 0,
        }
        | fields
    )
    if signer is None:
        return plain
    signature = sign_request(
        signer,
        plain.signed_text(),
        timestamp_ns=timestamp_ns or time.time_ns(),
        scope=SignatureScope.SIGNED_FIELDS,
    )
    return plain.model_copy(update={"signature": signature})


class Peer:
    """A websocket server; what it hears lands in `heard`."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.connections: list[ServerConnection] = []
        self.logins = 0
        self._news = asyncio.Condition()
        self._server: Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, compression=None, max_size=None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await self.connections[-1].send(message.encode())

    async def until(self, true: Callable[[], Any]) -> Any:
        """Wait until something said makes this true; its value."""
        async with asyncio.timeout(PATIENT_SECONDS), self._news:
            while not (value := true()):
                await self._news.wait()
        return value

    async def hears(self, kind: type, number: int = 1) -> Any:
        """Wait for the nth message of a class."""
        await self.until(lambda: len(self.all(kind)) >= number)
        return self.all(kind)[number - 1]

    def all(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def _note(self, message: Message) -> None:
        async with self._news:
            self.heard.append(message)
            self._news.notify_all()

    async def _logged_in(self) -> None:
        async with self._news:
            self.logins += 1
            self._news.notify_all()

    async def _serve(self, socket: ServerConnection) -> None:
        self.connections.append(socket)
        try:
            await self.serve(socket)
        except ConnectionClosed:
            return
        finally:
            self.connections.remove(socket)

    async def serve(self, socket: ServerConnection) -> None:
        raise NotImplementedError


Script = Callable[["MinerPeer", Message], list[Message]]


class MinerPeer(Peer):
    """A miner; `script` answers each message, `manifest` is what it offers."""

    def __init__(
        self,
        script: Script | None = None,
        manifest: dict[str, int] | None = None,
        keypair: Keypair = MINER,
    ) -> None:
        super().__init__()
        self.script = script or obliging
        self.manifest = {"always_on.test": 2} if manifest is None else manifest
        self.keypair = keypair
        self.accepts_logins = True
        self.extensions: tuple[str, ...] = ()
        self.repeats: list[Message] = []

    @property
    def hotkey(self) -> str:
        return self.keypair.ss58_address

    async def serve(self, socket: ServerConnection) -> None:
        login = VALIDATOR_TO_MINER.decode(await socket.recv())
        assert isinstance(login, ValidatorAuth)
        assert abs(login.timestamp - time.time()) < 10
        verify_hex(VALIDATOR.ss58_address, login.blob(), login.signature)
        if not self.accepts_logins:
            return
        self.announced = login.extensions
        manifest = Manifest(manifest=self.manifest, extensions=self.extensions)
        await socket.send(manifest.encode())
        for message in self.repeats:
            await socket.send(message.encode())
        await self._logged_in()
        async for frame in socket:
            message = VALIDATOR_TO_MINER.decode(frame)
            await self._note(message)
            for reply in self.script(self, message):
                await socket.send(reply.encode())


def obliging(miner: MinerPeer, message: Message) -> list[Message]:
    """A miner whose jobs all go well."""
    match message:
        case JobOffered():
            uuid = message.job_uuid
            return [JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid)]
        case JobPayload():
            return [
                VolumesReady(job_uuid=message.job_uuid),
                ExecutionDone(job_uuid=message.job_uuid),
                result(message.job_uuid),
            ]
        case _:
            return []


def result(uuid: str, stdout: str = "hi\n", **fields: Any) -> JobFinished:
    """A job that went well."""
    return JobFinished(
        job_uuid=uuid, docker_process_stdout=stdout, docker_process_stderr="", **fields
    )


class FacilitatorPeer(Peer):
    """A facilitator that answers every status with success, unless told to be slow to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = True
        self.extensions: tuple[str, ...] = ()
        self.refusal: Response | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v0/"

    async def serve(self, socket: ServerConnection) -> None:
        login = VALIDATOR_TO_FACILITATOR.decode(await socket.recv())
        assert isinstance(login, FacilitatorLogin)
        verify_hex(VALIDATOR.ss58_address, login.key(), login.signature)
        if self.refusal:
            await socket.send(self.refusal.encode())
            await socket.close(3001)
            return
        assert socket.request is not None
        self.announced = socket.request.headers.get("X-Validator-Extensions", "")
        await socket.send(Response(status="success", extensions=self.extensions).encode())
        await self._logged_in()
        async for frame in socket:
            message = VALIDATOR_TO_FACILITATOR.decode(frame)
            await self._note(message)
            if isinstance(message, StatusReported) and self.answers:
                await socket.send(Response(status="success").encode())

    def states(self, uuid: str) -> list[str]:
        return [str(report.status) for report in self.all(StatusReported) if report.uuid == uuid]

    async def hears_end(self, uuid: str) -> StatusReported:
        """The last status of a job."""
        ends = {"completed", "failed", "horde_failed", "rejected"}

        def end() -> StatusReported | None:
            told = [one for one in self.all(StatusReported) if one.uuid == uuid]
            return next((one for one in told if one.status in ends), None)

        return await self.until(end)


@asynccontextmanager
async def serving(*peers: Peer) -> AsyncIterator[None]:
    for peer in peers:
        await peer.start()
    try:
        yield
    finally:
        for peer in peers:
            await peer.stop()
