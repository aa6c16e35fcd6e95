"""A scripted miner, as its executors see it: offers one job and records the answers."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import ExecutorReady, JobOffered, JobPayload, Timing
from compute_horde.protocol.links import EXECUTOR_TO_MINER
from compute_horde.protocol.message import Message
from compute_horde.receipts import JobStartedReceipt
from compute_horde.vocabulary import GpuPreset, ReceiptType
from tests.peers.websocket_server import WebSocketPeer, serving

__all__ = ["JOB", "TIMING", "TOKEN", "Miner", "offer", "payload", "serving"]

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


class Miner(WebSocketPeer):
    """Sends `sends` to its executor at once, and `after_ready` when that is ready."""

    max_frame_bytes = 50 * 2**20

    def __init__(self, *sends: Message, after_ready: Message | None = None) -> None:
        super().__init__()
        self._sends = sends
        self._after_ready = after_ready
        self.paths: list[str] = []
        self.connected = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.socket: ServerConnection | None = None

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def serve(self, socket: ServerConnection) -> None:
        self.socket = socket
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.connected.set()
        for message in self._sends:
            await socket.send(message.encode())
        try:
            async for frame in socket:
                await self._receive(socket, EXECUTOR_TO_MINER.decode(frame))
        except ConnectionClosed:
            pass
        self.hung_up.set()

    async def _receive(self, socket: ServerConnection, message: Any) -> None:
        await self._note(message)
        if isinstance(message, ExecutorReady) and self._after_ready is not None:
            await socket.send(self._after_ready.encode())

    @property
    def last(self) -> Any:
        return self.received[-1]

    @property
    def kinds(self) -> list[str]:
        return [type(one).__name__ for one in self.received]

    @property
    def facts(self) -> list[str]:
        """The kinds of messages that change a job's state, without output and progress."""
        return [kind for kind in self.kinds if kind not in {"OutputPrinted", "ProgressMade"}]
