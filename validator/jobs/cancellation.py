"""Cancelling a running job: its miner is asked to end it and given a few seconds to answer."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.concurrency.cancellation import unless_cancelled
from compute_horde.errors import Cancelled, HordeError
from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.message import JobMessage
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension, HordeReason
from validator.jobs.steps import Listen
from validator.miners.connection import MinerConnection

log = logging.getLogger(__name__)

# A miner must report the end of the job within this time; it gives its executor a little less.
MINER_SECONDS = 5.0


@dataclass
class CancellableListener:
    """Receives a miner's messages about one job, and cancels the job when asked to.

    Call it like `listen` to receive the next message. Once `cancel_requested` is set, it sends
    `CancelOrdered` to the miner and receives for at most `MINER_SECONDS` more. Without that event
    the job cannot be cancelled.

    Raises:
        Cancelled: the miner did not end the job itself: it is disconnected, does not support the
            extension, or did not answer in time.
        HordeError: the miner reported a cancellation that nobody asked for.
    """

    job_uuid: str
    connection: MinerConnection
    validator: Signer
    cancel_requested: asyncio.Event | None
    listen: Listen
    give_up: float | None = None

    async def __call__(self) -> JobMessage:
        """The next message."""
        if self.cancel_requested is None:
            return self._check(await self.listen())
        if self.give_up is None:
            try:
                received = _receive_once(self.listen)
                return self._check(await unless_cancelled(self.cancel_requested, received))
            except Cancelled:
                self.give_up = asyncio.get_running_loop().time() + MINER_SECONDS
                await self._send_cancel()
        # `listen` does not wait while messages are queued, so the timeout alone may never expire.
        if asyncio.get_running_loop().time() < self.give_up:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self.give_up):
                    return await self.listen()
        log.info("miner did not end a cancelled job in time", extra={"job": self.job_uuid})
        raise Cancelled

    async def _send_cancel(self) -> None:
        miner = self.connection
        if not await miner.wait(MINER_SECONDS) or Extension.CANCEL not in miner.extensions:
            raise Cancelled
        order = CancelOrdered(job_uuid=self.job_uuid).signed(self.validator)
        try:
            await miner.send(order)
        except ConnectionLostError as exc:
            raise Cancelled from exc

    def _check(self, message: JobMessage) -> JobMessage:
        if isinstance(message, JobCancelled):
            text = "The miner cancelled the job, which nobody asked for"
            raise HordeError(HordeReason.GENERIC_ERROR, text)
        return message


async def _receive_once(listen: Listen) -> JobMessage:
    return await listen()
