"""Miners whose executors run the programs of the llm images, honestly or not."""

import asyncio
import subprocess
import sys
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection

from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import ExecutionDone, JobOffered, JobPayload, VolumesReady
from compute_horde.protocol.links import VALIDATOR_TO_MINER
from compute_horde.protocol.message import Message
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
    """A miner that does `work` in a thread for each job."""

    def __init__(self, work: Work = honest) -> None:
        super().__init__()
        self.work = work
        self._offers: dict[str, JobOffered] = {}

    async def serve(self, socket: ServerConnection) -> None:
        VALIDATOR_TO_MINER.decode(await socket.recv())
        await socket.send(Manifest(manifest=self.manifest, extensions=self.extensions).encode())
        await self._logged_in()
        async with asyncio.TaskGroup() as tasks:
            async for frame in socket:
                message = VALIDATOR_TO_MINER.decode(frame)
                await self._note(message)
                tasks.create_task(self._answer(socket, message))

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
        printed = await asyncio.to_thread(self.work, offer, payload)
        await socket.send(ExecutionDone(job_uuid=offer.job_uuid).encode())
        await socket.send(result(offer.job_uuid, printed).encode())


class StreamingLlmMiner(LlmMiner):
    pass
