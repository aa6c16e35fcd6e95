"""A job that is going on, as the miner remembers it."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.receipts import Receipt
from compute_horde.vocabulary import JobState
from miner.executors.pool import Executor
from miner.jobs.relay import Ear


@dataclass(slots=True, eq=False)
class LiveJob:
    """Its row in the database follows; what counts while it goes on is here."""

    offered: JobOffered
    validator: str
    ear: Ear
    receipt: Receipt | None = None
    executor: Executor | None = None
    payload: JobPayload | None = None
    state: JobState = JobState.RECEIVED
    since: float = field(default_factory=monotonic)
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    cancelled: bool = False

    @property
    def uuid(self) -> str:
        """The job's name everywhere."""
        return self.offered.job_uuid
