"""The websocket of an executor, on the miner's side."""

from typing import Any

from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.guarded_websocket import trust
from compute_horde.errors import HordeError, ProtocolError
from compute_horde.protocol.extensions import JobCancelled, OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.links import EXECUTOR_TO_MINER, ExecutorReport
from compute_horde.vocabulary import HordeReason
from miner.executors.executor import Executor
from miner.jobs.intake import ExecutorAssignment
from miner.wiring import Miner


class ExecutorConsumer(MessageConsumer):
    """Applies messages of an executor to its job, which forwards them to the validator."""

    incoming = EXECUTOR_TO_MINER

    def __init__(self, miner: Miner, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._miner = miner
        self._executor: Executor | None = None

    async def connect(self) -> None:
        """Accept the connection; a token is valid for one only."""
        token = self.scope["url_route"]["kwargs"]["token"]
        await self.accept()
        peer = self.scope.get("client")
        self._executor = self._miner.pool.on_connected(token, self, peer[0] if peer else None)
        if self._executor is None:
            await self.send_message(GenericError(details=f"No job waiting for token {token}"))
            await self.close()
        else:
            trust(self.scope)

    async def handle(self, message: ExecutorReport | GenericError) -> None:
        """Handle a message about the job; an error that the executor reports ends it."""
        if self._executor is None or self._executor.is_leaving:
            return
        assignment = self._executor.assignment
        if not isinstance(assignment, ExecutorAssignment):
            raise ProtocolError("an executor without a job must not send messages")
        if isinstance(message, GenericError):
            raise ProtocolError(f"the executor reported an error: {message.details}")
        if message.job_uuid != assignment.job.uuid:
            raise ProtocolError("an executor may send messages about its own job only")
        if isinstance(message, JobCancelled) and not assignment.job.is_cancelled:
            raise ProtocolError("the executor cancelled a job, which nobody asked for")
        if isinstance(message, OutputPrinted | ProgressMade):
            self._miner.output_relay.relay(assignment.job, message)
        else:
            await self._miner.active_jobs.apply(assignment.job, message)

    async def complain(self, problem: ProtocolError) -> None:
        """Report a protocol error to the executor and end its job."""
        await super().complain(problem)
        executor = self._executor
        assignment = executor.assignment if executor else None
        if executor and isinstance(assignment, ExecutorAssignment):
            text = f"Executor {executor.id} broke the protocol: {problem}"
            await self._miner.active_jobs.end(
                assignment.job, HordeError(HordeReason.GENERIC_ERROR, text)
            )

    async def disconnect(self, code: int) -> None:
        """Report the disconnection to the pool, which ends the job if it is still active."""
        if self._executor:
            self._miner.pool.on_disconnected(self._executor, code)
