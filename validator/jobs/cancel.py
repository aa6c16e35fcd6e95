"""A job that is wanted no more: its miner is told, and given a moment to end it."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from compute_horde.adapters.websocket import LineLost
from compute_horde.cancelling import unless_cancelled
from compute_horde.errors import Cancelled, HordeError
from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.message import JobMessage
from compute_horde.signing import Signer
from compute_horde.vocabulary import Extension, HordeReason
from validator.jobs.drive import Listen
from validator.jobs.lines import MinerLine

log = logging.getLogger(__name__)

# In this time a miner must say that the job is over; it gives its executor a little less.
MINER_SECONDS = 5.0


@dataclass
class Heeding:
    """What a miner says of one job until that is `asked` to end; then for a moment longer.

    Called like what it listens with. Raises `Cancelled` when the job is to be ended without the
    miner: it is away, does not understand the order, or does not say that it obeyed.
    """

    job_uuid: str
    line: MinerLine
    validator: Signer
    asked: asyncio.Event
    listen: Listen
    give_up: float | None = None

    async def __call__(self) -> JobMessage:
        """The next fact."""
        if self.give_up is None:
            try:
                return self._plausible(await unless_cancelled(self.asked, _once(self.listen)))
            except Cancelled:
                self.give_up = asyncio.get_running_loop().time() + MINER_SECONDS
                await self._order()
        # A miner that talks on has its next word ready: a timeout alone would never strike.
        if asyncio.get_running_loop().time() < self.give_up:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self.give_up):
                    return await self.listen()
        log.info("miner did not end a job", extra={"job": self.job_uuid})
        raise Cancelled

    async def _order(self) -> None:
        line = self.line
        if not await line.wait(MINER_SECONDS) or Extension.CANCEL not in line.extensions:
            raise Cancelled
        order = CancelOrdered(job_uuid=self.job_uuid).signed(self.validator)
        try:
            await line.say(order)
        except LineLost as exc:
            raise Cancelled from exc

    def _plausible(self, message: JobMessage) -> JobMessage:
        if isinstance(message, JobCancelled):
            text = "The miner cancelled the job, which nobody asked for"
            raise HordeError(HordeReason.GENERIC_ERROR, text)
        return message


async def _once(listen: Listen) -> JobMessage:
    return await listen()
