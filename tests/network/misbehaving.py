"""Scripted miners with several validators, most of which do not do what they should."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bittensor_core import Keypair
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import ValidatorAuth
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobAccepted,
    JobDeclined,
    JobFinished,
    JobOffered,
    JobPayload,
    VolumesReady,
)
from compute_horde.protocol.links import VALIDATOR_TO_MINER
from compute_horde.receipts import JobStartedReceipt, Receipt
from compute_horde.signing import signed_hex, verify_hex
from compute_horde.vocabulary import ReceiptType, RejectionReason
from tests.peers.miner import early_lists, solved
from tests.peers.websocket_server import WebSocketPeer

TEST, CPU = ExecutorClass.always_on__test, ExecutorClass.always_on__cpu__8c__16gb
# Longer than any batch waits.
LATE_SECONDS = 10.0
# For so long the only executor of a boastful miner is not there again.
RESTART_SECONDS = 1.0


class ScriptedMiner(WebSocketPeer):
    """Does every job right, without extensions, as the published miner does."""

    def __init__(self, keypair: Keypair, executors: int, kind: ExecutorClass = TEST) -> None:
        super().__init__()
        self.keypair, self.kind, self.executors = keypair, kind, executors

    @property
    def hotkey(self) -> str:
        return self.keypair.ss58_address

    async def serve(self, socket: ServerConnection) -> None:
        login = VALIDATOR_TO_MINER.decode(await socket.recv())
        assert isinstance(login, ValidatorAuth)
        verify_hex(login.validator_hotkey, login.blob(), login.signature)
        await socket.send(Manifest(manifest={self.kind.value: self.executors}).encode())
        offers: dict[str, JobOffered] = {}
        async for frame in socket:
            match message := VALIDATOR_TO_MINER.decode(frame):
                case JobOffered():
                    offers[message.job_uuid] = message
                    await self.offered(socket, login.validator_hotkey, message)
                case JobPayload():
                    await self.execute(socket, offers[message.job_uuid], message)

    def _answer_request(self, connection: Any, request: Any) -> Response | None:
        is_page = request.path.startswith("/receipts/")
        return self.page(request.path, request.headers.get("Range")) if is_page else None

    def page(self, path: str, wanted: str | None) -> Response:
        """A page of receipts, of which there are none."""
        del path, wanted
        headers = {"Content-Length": "0", "Connection": "close"}
        return Response(404, "Not Found", Headers(headers), b"")

    async def offered(self, socket: ServerConnection, validator: str, offer: JobOffered) -> None:
        """Answer an offer."""
        await self._accept(socket, offer)

    async def execute(
        self, socket: ServerConnection, offer: JobOffered, payload: JobPayload
    ) -> None:
        """Answer the full job."""
        lists = early_lists(offer.volume or payload.volume)
        answer = solved(list(payload.docker_run_cmd), lists)
        await self._send_result(socket, payload.job_uuid, answer)

    async def _accept(self, socket: ServerConnection, offer: JobOffered) -> None:
        await socket.send(JobAccepted(job_uuid=offer.job_uuid).encode())
        await socket.send(ExecutorReady(job_uuid=offer.job_uuid).encode())

    async def _decline(self, socket: ServerConnection, offer: JobOffered) -> None:
        declined = JobDeclined(job_uuid=offer.job_uuid, reason=RejectionReason.BUSY)
        await socket.send(declined.encode())

    async def _send_result(self, socket: ServerConnection, uuid: str, printed: str) -> None:
        result = JobFinished(
            job_uuid=uuid, docker_process_stdout=printed + "\n", docker_process_stderr=""
        )
        for message in (VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), result):
            await socket.send(message.encode())


class BoastfulMiner(ScriptedMiner):
    """Has one executor for each validator, however many it declares."""

    def __init__(self, keypair: Keypair, executors: int) -> None:
        super().__init__(keypair, executors)
        self._busy_until: dict[str, float] = {}

    async def offered(self, socket: ServerConnection, validator: str, offer: JobOffered) -> None:
        if time.monotonic() < self._busy_until.get(validator, 0):
            await self._decline(socket, offer)
            return
        self._busy_until[validator] = time.monotonic() + RESTART_SECONDS
        await self._accept(socket, offer)


class SlowMiner(ScriptedMiner):
    """Accepts every job and answers when nobody waits any more."""

    async def execute(
        self, socket: ServerConnection, offer: JobOffered, payload: JobPayload
    ) -> None:
        await socket.send(VolumesReady(job_uuid=payload.job_uuid).encode())
        with suppress(TimeoutError):
            async with asyncio.timeout(LATE_SECONDS):
                await socket.wait_closed()
        await super().execute(socket, offer, payload)


class RefusingMiner(ScriptedMiner):
    """Declines every job as busy."""

    async def offered(self, socket: ServerConnection, validator: str, offer: JobOffered) -> None:
        await self._decline(socket, offer)


@dataclass
class Accomplice:
    """Whoever signs receipts for a forger: in the name of `validator`, with its own key."""

    keypair: Keypair
    validator: str


class ForgingMiner(RefusingMiner):
    """Shows receipts of work that nobody gave it."""

    def __init__(self, keypair: Keypair, executors: int, accomplices: list[Accomplice]) -> None:
        super().__init__(keypair, executors)
        self.accomplices = accomplices
        self.pages: dict[str, bytes] = {}

    def page(self, path: str, wanted: str | None) -> Response:
        """The page, the same at every request; `wanted` is the range, of bytes."""
        if path not in self.pages:
            self.pages[path] = b"".join(map(self._forged, self._all()))
        body = self.pages[path]
        start = int((wanted or "bytes=0-")[6:-1])
        rest, size = body[start:], len(body)
        headers = {"Content-Length": str(len(rest)), "Connection": "close"}
        if not rest:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(416, "Range Not Satisfiable", Headers(headers), b"")
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            return Response(206, "Partial Content", Headers(headers), rest)
        return Response(200, "OK", Headers(headers), rest)

    def _all(self) -> list[Accomplice]:
        """One receipt of each accomplice for every executor."""
        return self.accomplices * self.executors

    def _forged(self, accomplice: Accomplice) -> bytes:
        payload = JobStartedReceipt(
            job_uuid=str(uuid4()),
            miner_hotkey=self.hotkey,
            validator_hotkey=accomplice.validator,
            timestamp=datetime.now(UTC) - timedelta(seconds=5),
            receipt_type=ReceiptType.STARTED,
            executor_class=self.kind,
            is_organic=True,
            ttl=3600,
        )
        blob = payload.blob()
        receipt = Receipt(
            payload=payload,
            validator_signature=signed_hex(accomplice.keypair, blob),
            miner_signature=signed_hex(self.keypair, blob),
        )
        return receipt.model_dump_json().encode() + b"\n"
