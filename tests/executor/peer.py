"""A scripted miner: a real websocket server that offers one job and writes down the answers."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import ExecutorReady, JobOffered, JobPayload, Timing
from compute_horde.protocol.links import EXECUTOR_TO_MINER
from compute_horde.protocol.message import Message
from compute_horde.receipts import JobStartedReceipt
from compute_horde.vocabulary import GpuPreset, ReceiptType

JOB = "6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
# Another for each run, since a machine may test twice at once.
TOKEN = secrets.token_hex(8)
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
RECEIPT = JobStartedReceipt(
    job_uuid=JOB,
    miner_hotkey=BOB,
    validator_hotkey=ALICE,
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    receipt_type=ReceiptType.STARTED,
    executor_class=ExecutorClass.always_on__test,
    is_organic=True,
    ttl=7,
)
TIMING = Timing(
    allowed_leeway=5,
    download_time_limit=10,
    execution_time_limit=20,
    upload_time_limit=10,
    streaming_start_time_limit=0,
)


def offer(image: str | None, **changes: Any) -> JobOffered:
    """A job of the test class."""
    fields = {
        "job_uuid": JOB,
        "executor_class": ExecutorClass.always_on__test,
        "docker_image": image,
        "job_started_receipt_payload": RECEIPT,
        "job_started_receipt_signature": "0x00",
        "executor_timing": TIMING,
    }
    return JobOffered(**(fields | changes))


def payload(image: str, *command: str, **changes: Any) -> JobPayload:
    """The full job."""
    fields = {
        "job_uuid": JOB,
        "executor_class": ExecutorClass.always_on__test,
        "docker_image": image,
        "docker_run_options_preset": GpuPreset.NONE,
        "docker_run_cmd": list(command),
    }
    return JobPayload(**(fields | changes))


class Miner:
    """Hears one executor; `says` is sent at once, `after_ready` when it is ready."""

    def __init__(self, *says: Message, after_ready: Message | None = None) -> None:
        self._says = says
        self._after_ready = after_ready
        self.heard: list[Any] = []
        self.paths: list[str] = []
        self.connected = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.news = asyncio.Condition()
        self.socket: ServerConnection | None = None
        self.address = ""

    async def attend(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.paths.append(socket.request.path)
        self.connected.set()
        for message in self._says:
            await socket.send(message.encode())
        try:
            async for frame in socket:
                await self._hear(EXECUTOR_TO_MINER.decode(frame))
        except ConnectionClosed:
            pass
        self.hung_up.set()

    async def _hear(self, message: Any) -> None:
        async with self.news:
            self.heard.append(message)
            self.news.notify_all()
        if isinstance(message, ExecutorReady) and self._after_ready is not None:
            await self.socket.send(self._after_ready.encode())

    async def hears(self, kind: type[Message]) -> Any:
        """The first message of a kind, waiting for it."""

        def found() -> Any:
            return next((one for one in self.heard if isinstance(one, kind)), None)

        async with self.news:
            return await asyncio.wait_for(self.news.wait_for(found), 30)

    @property
    def last(self) -> Any:
        return self.heard[-1]

    @property
    def kinds(self) -> list[str]:
        return [type(one).__name__ for one in self.heard]

    @property
    def facts(self) -> list[str]:
        """What was said that moves a job, without the news of the moment."""
        return [kind for kind in self.kinds if kind not in {"OutputPrinted", "ProgressMade"}]


@asynccontextmanager
async def serving(miner: Miner) -> AsyncIterator[Miner]:
    """The miner on a port of its own."""
    async with serve(miner.attend, "127.0.0.1", 0, compression=None, max_size=50 * 2**20) as server:
        port = server.sockets[0].getsockname()[1]
        miner.address = f"ws://127.0.0.1:{port}"
        yield miner
