"""The miner's end of an executor's websocket."""

from typing import Any

from compute_horde.django.consumer import MessageConsumer
from compute_horde.django.wary import trust
from compute_horde.errors import HordeError, ProtocolError
from compute_horde.protocol.extensions import JobCancelled, OutputPrinted, ProgressMade
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.links import EXECUTOR_TO_MINER, Progress
from compute_horde.vocabulary import HordeReason
from miner.assembly import Miner
from miner.executors.pool import Executor
from miner.jobs.actions import Tenancy


class ExecutorConsumer(MessageConsumer):
    """Every fact moves the executor's job and travels on to the validator."""

    incoming = EXECUTOR_TO_MINER

    def __init__(self, miner: Miner, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._miner = miner
        self._executor: Executor | None = None

    async def connect(self) -> None:
        """A token is good for one connection."""
        token = self.scope["url_route"]["kwargs"]["token"]
        await self.accept()
        peer = self.scope.get("client")
        self._executor = self._miner.pool.connected(token, self, peer[0] if peer else None)
        if self._executor is None:
            await self.say(GenericError(details=f"No job waiting for token {token}"))
            await self.close()
        else:
            trust(self.scope)

    async def handle(self, message: Progress | GenericError) -> None:
        """Pass a fact on; a complaint of the executor ends its job."""
        if self._executor is None or self._executor.leaving:
            return
        tenancy = self._executor.tenant
        if not isinstance(tenancy, Tenancy):
            raise ProtocolError("an executor without a job has nothing to say")
        if isinstance(message, GenericError):
            raise ProtocolError(f"the executor complains: {message.details}")
        if message.job_uuid != tenancy.job.uuid:
            raise ProtocolError("an executor may speak only of its own job")
        if isinstance(message, JobCancelled) and not tenancy.job.cancelled:
            raise ProtocolError("the executor cancelled a job, which nobody asked for")
        if isinstance(message, OutputPrinted | ProgressMade):
            self._miner.output.hear(tenancy.job, message)
        else:
            await self._miner.floor.hear(tenancy.job, message)

    async def complain(self, problem: ProtocolError) -> None:
        """An executor that cannot be understood has no job any more."""
        await super().complain(problem)
        executor = self._executor
        tenancy = executor.tenant if executor else None
        if executor and isinstance(tenancy, Tenancy):
            text = f"Executor {executor.id} broke the protocol: {problem}"
            await self._miner.floor.end(tenancy.job, HordeError(HordeReason.GENERIC_ERROR, text))

    async def disconnect(self, code: int) -> None:
        """Its job, if it has one still, is lost."""
        if self._executor:
            self._miner.pool.disconnected(self._executor, code)
