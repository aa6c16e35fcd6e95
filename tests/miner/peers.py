"""The peers of a miner, scripted by tests."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

from bittensor_core import Keypair

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import ValidatorAuth
from compute_horde.protocol.job import JobOffered, JobPayload, Timing
from compute_horde.protocol.links import MINER_TO_EXECUTOR, MINER_TO_VALIDATOR
from compute_horde.protocol.message import Link, Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.receipts import JobAcceptedReceipt, JobFinishedReceipt, JobStartedReceipt
from compute_horde.signing import signed_hex
from compute_horde.vocabulary import GpuPreset
from miner.executors.manager import ExecutorManager, ManagerSettings, OnExit

TIMEOUT_SECONDS = 30.0
QUIET_SECONDS = 0.15
CLASS = ExecutorClass.always_on__test
TIMING = Timing(
    allowed_leeway=5,
    download_time_limit=1,
    execution_time_limit=1,
    upload_time_limit=1,
    streaming_start_time_limit=1,
)


class ScriptedManager(ExecutorManager):
    """Starts nothing; records the calls."""

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        super().__init__(setting, on_exit)
        self.tokens: list[str] = []
        self.killed: list[str] = []
        self.fails: Exception | None = None
        self._changed = asyncio.Condition()

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        if self.fails:
            raise self.fails
        self.tokens.append(token)
        async with self._changed:
            self._changed.notify_all()

    async def kill(self, token: str) -> None:
        self.killed.append(token)
        async with self._changed:
            self._changed.notify_all()

    async def has_started(self, number: int) -> None:
        """Return once the executor of this number was started."""
        enough = abs(number) if number < 0 else number + 1
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.tokens) >= enough)

    async def has_killed(self, token: str) -> None:
        """Return once this executor was killed."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: token in self.killed)


class Peer:
    """The client end of a websocket, connected without a network."""

    incoming: Link[Any]

    def __init__(self, app: Any, path: str) -> None:
        self.scope = {"type": "websocket", "path": path, "client": ("192.0.2.7", 4444)}
        self._app = app
        self._to: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def open(self) -> bool:
        """Connect; whether the miner accepts the connection."""
        self._to.put_nowait({"type": "websocket.connect"})
        self._served = asyncio.create_task(self._app(self.scope, self._to.get, self._from.put))
        return (await self._event())["type"] == "websocket.accept"

    async def send(self, message: Message | dict[str, Any] | str) -> None:
        match message:
            case Message():
                text = message.encode()
            case dict():
                text = json.dumps(message)
            case _:
                text = message
        self._to.put_nowait({"type": "websocket.receive", "text": text})

    async def receive_raw(self) -> dict[str, Any]:
        return json.loads(await self._text())

    async def receive(self) -> Any:
        return self.incoming.decode(await self._text())

    async def receive_names(self, count: int) -> list[str]:
        return [type(await self.receive()).__name__ for _ in range(count)]

    async def receives_nothing(self) -> bool:
        await asyncio.sleep(QUIET_SECONDS)
        return self._from.empty()

    async def closed(self) -> int:
        """The close code."""
        event = await self._event()
        assert event["type"] == "websocket.close", event
        return event.get("code", 1000)

    async def close(self, code: int = 1000) -> None:
        self._to.put_nowait({"type": "websocket.disconnect", "code": code})
        await asyncio.wait_for(self._served, TIMEOUT_SECONDS)

    async def _text(self) -> str:
        event = await self._event()
        assert event["type"] == "websocket.send", event
        return event["text"]

    async def _event(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._from.get(), TIMEOUT_SECONDS)


class ExecutorPeer(Peer):
    """An executor, as its miner sees it."""

    incoming = MINER_TO_EXECUTOR

    def __init__(self, app: Any, token: str) -> None:
        super().__init__(app, f"/v0.1/executor_interface/{token}")


class ValidatorPeer(Peer):
    """A validator, as a miner sees it; signs its messages."""

    incoming = MINER_TO_VALIDATOR

    def __init__(self, app: Any, keypair: Keypair, miner_hotkey: str) -> None:
        super().__init__(app, f"/v0.1/validator_interface/{keypair.ss58_address}")
        self.key = keypair
        self.miner = miner_hotkey

    async def log_in(self, *extensions: str) -> Any:
        await self.send(ValidatorAuth.signed(self.key, self.miner, int(time.time()), extensions))
        return await self.receive()

    def offer(self, uuid: str | None = None, **changes: Any) -> JobOffered:
        receipt = self.started(uuid or str(uuid4()), changes.get("executor_class", CLASS))
        offered = JobOffered(
            job_uuid=receipt.job_uuid,
            executor_class=receipt.executor_class,
            docker_image="busybox",
            job_started_receipt_payload=receipt,
            job_started_receipt_signature=signed_hex(self.key, receipt.blob()),
            executor_timing=TIMING,
        )
        return offered.model_copy(update=changes).signed(self.key)

    def started(self, uuid: str, executor_class: ExecutorClass = CLASS) -> JobStartedReceipt:
        return JobStartedReceipt(
            job_uuid=uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.key.ss58_address,
            timestamp=_now(),
            executor_class=executor_class,
            is_organic=True,
            ttl=7,
        )

    def payload(self, uuid: str, **changes: Any) -> JobPayload:
        payload = JobPayload(
            job_uuid=uuid,
            executor_class=CLASS,
            docker_image="busybox",
            docker_run_options_preset=GpuPreset.NONE,
            docker_run_cmd=["true"],
            env={"SECRET": "hush"},
        )
        return payload.model_copy(update=changes).signed(self.key)

    def accepted_receipt(self, uuid: str) -> AcceptedReceiptIssued:
        payload = JobAcceptedReceipt(
            job_uuid=uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.key.ss58_address,
            timestamp=_now(),
            time_accepted=_now(),
            ttl=20,
        )
        return AcceptedReceiptIssued(
            payload=payload, signature=signed_hex(self.key, payload.blob())
        )

    def finished_receipt(self, uuid: str, score: str = "1.000000") -> FinishedReceiptIssued:
        payload = JobFinishedReceipt(
            job_uuid=uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.key.ss58_address,
            timestamp=_now(),
            time_started=_now(),
            time_took_us=1000,
            score_str=score,
        )
        return FinishedReceiptIssued(
            payload=payload, signature=signed_hex(self.key, payload.blob())
        )


def _now() -> str:
    """The time in the format of receipt issuers, whose text is signed."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
