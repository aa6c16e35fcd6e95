"""What scripted miners say, and where what came of it is stored."""

import asyncio

from bittensor_core import Keypair

from compute_horde.django.database import in_database
from compute_horde.protocol.job import (
    ExecutionDone,
    HordeFailed,
    JobDeclined,
    JobOffered,
)
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import (
    HordeReason,
    Party,
    RejectionReason,
)
from tests.validator.peers import (
    MinerPeer,
    obliging,
    result,
)
from validator.jobs.models import Job
from validator.receipts.models import IssuedReceipt

OTHER_MINER = Keypair.create_from_uri("//Eve")
ALL_STATES = [
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


async def row_of(uuid: str) -> Job:
    return await in_database(Job.objects.get, pk=uuid)


async def all_told(uuid: str) -> None:
    """The facilitator's last acknowledgement is remembered a moment after it came."""
    async with asyncio.timeout(5):
        while not (await row_of(uuid)).told:
            await asyncio.sleep(0.02)


async def receipts_of(uuid: str) -> list[str]:
    rows = IssuedReceipt.objects.filter(job_uuid=uuid).order_by("id")
    return await in_database(lambda: [row.receipt_type for row in rows])


def offered_then(*replies: type[Message] | Message):
    """A miner that answers an offer so and says nothing else."""

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if not isinstance(message, JobOffered):
            return []
        uuid = message.job_uuid
        return [one(job_uuid=uuid) if isinstance(one, type) else one for one in replies]

    return script


def declining(reason: RejectionReason, times: int = 10**6):
    """A miner that declines the first jobs it is offered."""
    left = [times]

    def script(miner: MinerPeer, message: Message) -> list[Message]:
        if isinstance(message, JobOffered) and left[0]:
            left[0] -= 1
            return [JobDeclined(job_uuid=message.job_uuid, reason=reason, message="no")]
        return obliging(miner, message)

    return script


def rest(uuid: str) -> list[Message]:
    return [ExecutionDone(job_uuid=uuid), result(uuid)]


def lost(uuid: str) -> HordeFailed:
    """The miner cannot go on with a job."""
    return HordeFailed(
        job_uuid=uuid,
        reported_by=Party.MINER,
        reason=HordeReason.GENERIC_ERROR,
        message="lost",
    )
