"""A miner's own executors that run no container: they answer in the process of the miner."""

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
from tests.peers.miner import early_lists, solved


class InProcessManager(ExecutorManager):
    """Executors that solve the puzzles of synthetic jobs."""

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self.executors: dict[str, asyncio.Task[None]] = {}

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        self.executors[token] = asyncio.create_task(self._live(token))

    async def kill(self, token: str) -> None:
        if executor := self.executors.pop(token, None):
            executor.cancel()

    async def close(self) -> None:
        for token in list(self.executors):
            await self.kill(token)

    def printed(self, offered: JobOffered, payload: JobPayload) -> str:
        """What the job's container would print."""
        return solved(list(payload.docker_run_cmd), early_lists(offered.volume or payload.volume))

    async def _live(self, token: str) -> None:
        url = f"{self.setting.miner_address}/v0.1/executor_interface/{token}"
        try:
            async with open_socket(url, MINER_TO_EXECUTOR) as line:
                await self._work(line)
        except ConnectionLostError:
            pass
        finally:
            self.on_exit(token, "done")

    async def _work(self, line: MessageSocket[ToExecutor]) -> None:
        offered: JobOffered | None = None
        async for message in line.listen():
            match message:
                case JobOffered(job_uuid=uuid):
                    offered = message
                    await line.send(ExecutorReady(job_uuid=uuid))
                case JobPayload(job_uuid=uuid):
                    assert offered is not None
                    await line.send(VolumesReady(job_uuid=uuid))
                    await line.send(ExecutionDone(job_uuid=uuid))
                    text = self.printed(offered, message) + "\n"
                    finished = JobFinished(
                        job_uuid=uuid, docker_process_stdout=text, docker_process_stderr=""
                    )
                    await line.send(finished)
                    return
