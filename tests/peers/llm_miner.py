"""Miners whose executors run the programs of the llm images, honestly or not."""

import asyncio
import socket as socket_module
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
from websockets.asyncio.server import ServerConnection

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import (
    ExecutionDone,
    JobOffered,
    JobPayload,
    StreamingReady,
    VolumesReady,
)
from compute_horde.protocol.links import VALIDATOR_TO_MINER
from compute_horde.protocol.message import Message
from compute_horde.signing import signed_hex
from compute_horde.streaming.certificates import Identity, new_identity
from tests.peers import llm_executor
from tests.peers.miner import MinerPeer, obliging, result

# Runs a job whose offer and payload came; returns what it prints.
Work = Callable[[JobOffered, JobPayload], str]


def honest(offer: JobOffered, payload: JobPayload) -> str:
    """Run the program and upload its answers."""
    return llm_executor.run_job(
        payload.docker_image, payload.docker_run_cmd, offer.volume, payload.output_upload
    )


class LlmMiner(MinerPeer):
    """A miner that does one of `works` for each job, by the last digit of its UUID.

    For None it never answers.
    """

    def __init__(self, *works: Work | None) -> None:
        super().__init__()
        self.works = works or (honest,)
        self._offers: dict[str, JobOffered] = {}

    async def serve(self, socket: ServerConnection) -> None:
        VALIDATOR_TO_MINER.decode(await socket.recv())
        await socket.send(Manifest(manifest=self.manifest, extensions=self.extensions).encode())
        await self._logged_in()
        async with TaskSet() as tasks:
            async for frame in socket:
                message = VALIDATOR_TO_MINER.decode(frame)
                await self._note(message)
                tasks.spawn(self._answer(socket, message))

    async def _answer(self, socket: ServerConnection, message: Message) -> None:
        if isinstance(message, JobOffered):
            self._offers[message.job_uuid] = message
        if not isinstance(message, JobPayload):
            for reply in obliging(self, message):
                await socket.send(reply.encode())
            return
        uuid = message.job_uuid
        await socket.send(VolumesReady(job_uuid=uuid).encode())
        await self._run(socket, self._offers[uuid], message)

    async def _run(self, socket: ServerConnection, offer: JobOffered, payload: JobPayload) -> None:
        work = self.works[int(offer.job_uuid[-1]) % len(self.works)]
        if work is None:
            return
        printed = await asyncio.to_thread(work, offer, payload)
        await socket.send(ExecutionDone(job_uuid=offer.job_uuid).encode())
        await socket.send(result(offer.job_uuid, printed).encode())


class StreamingLlmMiner(LlmMiner):
    """A miner whose jobs serve, with a proxy for mutual TLS in front, as an executor has it.

    One of `program_args` is added to those of each job, by the last digit of its UUID.
    """

    def __init__(self, *program_args: tuple[str, ...]) -> None:
        super().__init__()
        self.program_args = program_args

    async def _run(self, socket: ServerConnection, offer: JobOffered, payload: JobPayload) -> None:
        uuid, identity = offer.job_uuid, await asyncio.to_thread(new_identity)
        with llm_executor.folders() as (volume, output):
            await asyncio.to_thread(llm_executor.download, offer.volume, volume)
            port = free_port()
            args = llm_executor.local(payload.docker_run_cmd, volume, output)
            more = self.program_args[int(uuid[-1])] if self.program_args else ()
            program = await llm_executor.started(
                payload.docker_image, [*args, f"--port={port}", *more]
            )
            await healthy(port)
            assert offer.streaming_details is not None
            async with proxy(identity, offer.streaming_details.public_key, port) as outside:
                ready = StreamingReady(
                    job_uuid=uuid, public_key=identity.pem, ip="127.0.0.1", port=outside
                )
                signature = signed_hex(self.keypair, ready.blob())
                ready = ready.model_copy(update={"miner_signature": signature})
                await socket.send(ready.encode())
                assert await program.wait() == 0
            await asyncio.to_thread(llm_executor.upload, payload.output_upload, output)
        await socket.send(ExecutionDone(job_uuid=uuid).encode())
        await socket.send(result(uuid, "").encode())


def free_port() -> int:
    """A port that nobody listens at."""
    with socket_module.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def healthy(port: int) -> None:
    """Wait until the job serves."""
    async with httpx.AsyncClient() as client:
        async with asyncio.timeout(30):
            while True:
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/health")).is_success:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def proxy(identity: Identity, client_pem: str, port: int) -> AsyncIterator[int]:
    """A TLS server in front of a port, that admits one client; its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=client_pem)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(identity.key_pem + identity.pem)
        file.flush()
        context.load_cert_chain(file.name)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        inside_reader, inside_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with TaskSet() as both:
                both.spawn(pump(reader, inside_writer))
                both.spawn(pump(inside_reader, writer))
                await both.wait_for_first()
        finally:
            for one in (inside_writer, writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if serving:
            await asyncio.wait([one for one in serving if one], timeout=5)
