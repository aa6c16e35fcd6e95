"""A miner's own executors that run nothing and make answers up."""

import asyncio

from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobFinished,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.links import MINER_TO_EXECUTOR, ToExecutor
from miner.executors.manager import ExecutorManager, ManagerSettings, OnExit


class LyingManager(ExecutorManager):
    """Says at once that every job went well, whatever it was."""

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self.liars: dict[str, asyncio.Task[None]] = {}

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        self.liars[token] = asyncio.create_task(self._live(token))

    async def kill(self, token: str) -> None:
        if liar := self.liars.pop(token, None):
            liar.cancel()

    async def close(self) -> None:
        for token in list(self.liars):
            await self.kill(token)

    async def _live(self, token: str) -> None:
        url = f"{self.setting.miner_address}/v0.1/executor_interface/{token}"
        try:
            async with open_socket(url, MINER_TO_EXECUTOR) as line:
                await self._lie(line)
        except ConnectionLostError:
            pass
        finally:
            self.on_exit(token, "lied")

    async def _lie(self, line: MessageSocket[ToExecutor]) -> None:
        async for message in line.listen():
            match message:
                case JobOffered(job_uuid=uuid):
                    await line.send(ExecutorReady(job_uuid=uuid))
                case JobPayload(job_uuid=uuid):
                    await line.send(VolumesReady(job_uuid=uuid))
                    await line.send(ExecutionDone(job_uuid=uuid))
                    made_up = JobFinished(
                        job_uuid=uuid, docker_process_stdout="0\n", docker_process_stderr=""
                    )
                    await line.send(made_up)
                    return
