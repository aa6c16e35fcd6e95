"""What the miner says to an executor, each thing once and in order."""

import asyncio
import logging

from compute_horde.adapters.websocket import Line
from compute_horde.errors import ProtocolError
from compute_horde.protocol.extensions import CancelOrdered
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.links import ToExecutor

log = logging.getLogger(__name__)


class Hearing:
    """The offer, the full job and that it is cancelled, as soon as they are heard."""

    def __init__(self, line: Line[ToExecutor]) -> None:
        self._line = line
        self.offered: asyncio.Future[JobOffered] = asyncio.Future()
        self.payload: asyncio.Future[JobPayload] = asyncio.Future()
        self.cancelled = asyncio.Event()

    async def listen(self) -> None:
        """Hear until the line is lost; whatever does not fit is answered and dropped."""
        while True:
            try:
                self._take(await self._line.hear())
            except ProtocolError as exc:
                log.warning("the miner said something wrong", extra={"problem": str(exc)})
                await self._line.say(GenericError(details=str(exc)))

    def _take(self, message: ToExecutor) -> None:
        match message:
            case JobOffered() if not self.offered.done():
                self.offered.set_result(message)
            case JobPayload() if self._expects(message):
                self.payload.set_result(message)
            case CancelOrdered() if self._is_ours(message):
                self.cancelled.set()
            case GenericError():
                log.warning("the miner complains", extra={"details": message.details})
            case _:
                raise ProtocolError(f"{message.message_type} was not expected now")

    def _expects(self, payload: JobPayload) -> bool:
        return not self.payload.done() and self._is_ours(payload)

    def _is_ours(self, message: JobPayload | CancelOrdered) -> bool:
        return self.offered.done() and message.job_uuid == self.offered.result().job_uuid
