"""A miner that behaves as the published implementation does.

What it does and ours does not: it handles the messages of one connection one after another, stores
every job uuid and every receipt once and closes the connection with 1011 over a second one, tells
facts of a job once to the connections that were there when the job came or that were opened while
it went on, and announces no extensions.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bittensor_core import Keypair
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.handshake import GenericError
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
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.vocabulary import RejectionReason
from tests.peers.websocket_server import WebSocketPeer

# The published miner looks this long for a free executor before it declines.
BUSY_SECONDS = 4.0
BROKEN = 1011


class UniqueViolationError(Exception):
    """The published code lets this end the connection."""


@dataclass
class _Job:
    uuid: str
    connections: list[ServerConnection]
    sent: list[JobMessage] = field(default_factory=list)
    has_payload: bool = False
    is_over: bool = False


class PublishedMiner(WebSocketPeer):
    """A websocket server; `occupied` of its executors are busy with other validators' jobs."""

    def __init__(
        self,
        executors: int = 1,
        *,
        keypair: Keypair | None = None,
        occupied: int = 0,
        busy_seconds: float = BUSY_SECONDS,
        answer: Callable[[JobPayload], list[JobMessage]] | None = None,
    ) -> None:
        super().__init__()
        self.keypair = keypair or Keypair.create_from_uri("//Bob")
        self.executors, self.occupied, self.busy_seconds = executors, occupied, busy_seconds
        self.accepts_logins = True
        self.answer = answer or obliging
        self.complaints: list[str] = []
        self.closed_with: list[int] = []
        self.most_connections = 0
        self._jobs: dict[str, _Job] = {}
        self._receipts: set[tuple[str, str]] = set()

    @property
    def hotkey(self) -> str:
        return self.keypair.ss58_address

    async def report(self, *facts: JobMessage) -> None:
        """An executor says something of a job: every connection that hears of it is told."""
        for fact in facts:
            job = self._jobs[fact.job_uuid]
            job.sent.append(fact)
            job.is_over = isinstance(fact, JobFinished)
            for socket in [one for one in job.connections if one in self.connections]:
                with suppress(ConnectionClosed):
                    await socket.send(fact.encode())

    async def serve(self, socket: ServerConnection) -> None:
        self.most_connections = max(self.most_connections, len(self.connections))
        try:
            await self._converse(socket)
        except UniqueViolationError as exc:
            self.complaints.append(str(exc))
            await socket.close(BROKEN)
        finally:
            if socket.close_code:
                self.closed_with.append(socket.close_code)

    async def _converse(self, socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(Manifest(manifest={"always_on.test": self.executors}).encode())
        for job in self._jobs.values():
            if not job.is_over:
                job.connections.append(socket)
                if job.sent and not job.has_payload:
                    await socket.send(ExecutorReady(job_uuid=job.uuid).encode())
        await self._logged_in()
        async for frame in socket:
            await self._handle(socket, VALIDATOR_TO_MINER.decode(frame))

    async def _handle(self, socket: ServerConnection, message: Message) -> None:
        """One message; the next one on this connection waits until it is done with."""
        await self._note(message)
        match message:
            case JobOffered():
                await self._offered(socket, message)
            case JobPayload():
                await self._take_payload(socket, message)
            case AcceptedReceiptIssued() | FinishedReceiptIssued():
                self._store_receipt(message.payload.receipt_type, message.payload.job_uuid)

    async def _offered(self, socket: ServerConnection, offered: JobOffered) -> None:
        uuid = offered.job_uuid
        self._store_receipt("JobStartedReceipt", uuid)
        if uuid in self._jobs:
            raise UniqueViolationError(f"job {uuid} exists")
        job = self._jobs[uuid] = _Job(uuid, [socket])
        if self._free() < 1:
            job.is_over = True
            await asyncio.sleep(self.busy_seconds)
            declined = JobDeclined(job_uuid=uuid, reason=RejectionReason.BUSY)
            await socket.send(declined.encode())
            return
        await self.report(JobAccepted(job_uuid=uuid), ExecutorReady(job_uuid=uuid))

    async def _take_payload(self, socket: ServerConnection, payload: JobPayload) -> None:
        job = self._jobs.get(payload.job_uuid)
        if job is None or socket not in job.connections or job.has_payload:
            text = f"Received JobRequest for unknown job_uuid: {payload.job_uuid}"
            self.complaints.append(text)
            await socket.send(GenericError(details=text).encode())
            return
        job.has_payload = True
        await self.report(*self.answer(payload))

    def _store_receipt(self, kind: str, uuid: str) -> None:
        if (kind, uuid) in self._receipts:
            raise UniqueViolationError(f"receipt {kind} of {uuid} exists")
        self._receipts.add((kind, uuid))

    def _free(self) -> int:
        going_on = sum(not job.is_over for job in self._jobs.values()) - 1
        return self.executors - self.occupied - going_on


def obliging(payload: JobPayload) -> list[JobMessage]:
    """A job that goes well."""
    uuid = payload.job_uuid
    done = JobFinished(job_uuid=uuid, docker_process_stdout="hi\n", docker_process_stderr="")
    return [VolumesReady(job_uuid=uuid), ExecutionDone(job_uuid=uuid), done]
