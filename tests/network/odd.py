"""A miner's odd executors: real ones on a tiny disk, and some that break the protocol."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from compute_horde.frames import MAX_FRAME_BYTES
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import ExecutorReady, JobFinished, JobOffered, VolumesReady
from compute_horde.protocol.links import MINER_TO_EXECUTOR
from miner.executors.local_manager import LocalManager
from miner.executors.manager import ManagerSettings, OnExit

BABBLERS = ExecutorClass.always_on__gpu_24gb
NOBODY = "00000000-0000-4000-8000-000000000000"
PIECE_BYTES = 2**20


def too_long(limit: int) -> Iterator[str]:
    """A message of more than `limit` bytes, in the pieces in which it is sent."""
    yield '{"message_type":"'
    for _ in range(limit // PIECE_BYTES + 1):
        yield "x" * PIECE_BYTES


GARBAGE: dict[str, str | bytes] = {
    "no-json": "}{",
    "binary": b"\xff\xfe\x00",
    "no-type": "{}",
    "unknown-type": '{"message_type":"V9Nonsense"}',
    "nested": '{"message_type":' + "[" * 200_000,
    "many-values": "[" + "0," * 200_000 + "0]",
}


class OddManager(LocalManager):
    """Executors of `BABBLERS` do what the job's image is called; the others are ordinary."""

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self.babblers: dict[str, asyncio.Task[None]] = {}

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        if executor_class is BABBLERS:
            self.babblers[token] = asyncio.create_task(self._live(token))
        else:
            await super().start(token, executor_class)

    async def kill(self, token: str) -> None:
        if babbler := self.babblers.pop(token, None):
            babbler.cancel()
        await super().kill(token)

    async def close(self) -> None:
        for token in list(self.babblers):
            await self.kill(token)
        await super().close()

    async def _live(self, token: str) -> None:
        url = f"{self.setting.miner_address}/v0.1/executor_interface/{token}"
        try:
            async with connect(url, compression=None, proxy=None) as socket:
                offered = MINER_TO_EXECUTOR.decode(await socket.recv())
                assert isinstance(offered, JobOffered)
                await _babble(socket, url, offered)
                await socket.wait_closed()
        except (ConnectionClosed, OSError):
            pass
        finally:
            self.on_exit(token, "babbled")


async def _babble(socket: ClientConnection, url: str, offered: JobOffered) -> None:
    what = (offered.docker_image or "").removeprefix("babble/")
    if what in GARBAGE:
        await socket.send(GARBAGE[what])
    elif what in BABBLE:
        await BABBLE[what](socket, url, offered.job_uuid)
    else:
        await socket.close()


async def _oversized(socket: ClientConnection, url: str, uuid: str) -> None:
    await socket.send(too_long(MAX_FRAME_BYTES))


async def _wrong_order(socket: ClientConnection, url: str, uuid: str) -> None:
    await socket.send(_finished(uuid, ""))


async def _other_job(socket: ClientConnection, url: str, uuid: str) -> None:
    await socket.send(VolumesReady(job_uuid=NOBODY).encode())


async def _again(socket: ClientConnection, url: str, uuid: str) -> None:
    """Connect with the same token once more; tell the user what came of it, if still allowed."""
    async with connect(url, compression=None, proxy=None) as second:
        told = json.loads(await second.recv())["details"]
        await second.wait_closed()
    await socket.send(ExecutorReady(job_uuid=uuid).encode())
    await socket.recv()
    await socket.send(VolumesReady(job_uuid=uuid).encode())
    await socket.send(json.dumps({"message_type": "V0ExecutionDoneRequest", "job_uuid": uuid}))
    await socket.send(_finished(uuid, told))


def _finished(uuid: str, stdout: str) -> str:
    return JobFinished(
        job_uuid=uuid, docker_process_stdout=stdout, docker_process_stderr=""
    ).encode()


BABBLE: dict[str, Callable[[ClientConnection, str, str], Awaitable[None]]] = {
    "oversized": _oversized,
    "wrong-order": _wrong_order,
    "other-job": _other_job,
    "again": _again,
}
