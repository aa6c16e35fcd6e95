"""The messages of the miner: one offer, one full job, and cancellation."""

import asyncio
import logging

from compute_horde.adapters.websocket import MessageSocket
from compute_horde.errors import ProtocolError
from compute_horde.protocol.extensions import CancelOrdered
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.protocol.links import ToExecutor

log = logging.getLogger(__name__)


class MinerInbox:
    """The offer, the full job and its cancellation, each set once when it is received."""

    def __init__(self, socket: MessageSocket[ToExecutor]) -> None:
        self._socket = socket
        self.offered: asyncio.Future[JobOffered] = asyncio.Future()
        self.payload: asyncio.Future[JobPayload] = asyncio.Future()
        self.cancelled = asyncio.Event()

    async def listen(self) -> None:
        """Receive messages until the connection is lost, which raises `ConnectionLostError`.

        An invalid or unexpected message is answered with `GenericError` and dropped.
        """
        while True:
            try:
                self._take(await self._socket.receive())
            except ProtocolError as exc:
                log.warning("invalid message from the miner", extra={"problem": str(exc)})
                await self._socket.send(GenericError(details=str(exc)))

    def _take(self, message: ToExecutor) -> None:
        match message:
            case JobOffered() if not self.offered.done():
                self.offered.set_result(message)
            case JobPayload() if self._expects(message):
                self.payload.set_result(message)
            case CancelOrdered() if self._is_ours(message):
                self.cancelled.set()
            case GenericError():
                log.warning("the miner reports an error", extra={"details": message.details})
            case _:
                raise ProtocolError(f"{message.message_type} was not expected now")

    def _expects(self, payload: JobPayload) -> bool:
        return not self.payload.done() and self._is_ours(payload)

    def _is_ours(self, message: JobPayload | CancelOrdered) -> bool:
        return self.offered.done() and message.job_uuid == self.offered.result().job_uuid
