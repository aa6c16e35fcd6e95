"""The state of an active job in the miner's memory."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from compute_horde.protocol.job import JobOffered, JobPayload
from compute_horde.receipts import Receipt
from compute_horde.signing import Signer
from compute_horde.vocabulary import JobState
from miner.executors.executor import Executor
from miner.jobs.validator_sockets import Parties, ValidatorSocket


@dataclass(slots=True, eq=False)
class LiveJob:
    """An active job; ahead of its database row by the messages not yet written.

    `stored_state` is the state of the row, `miner` the hotkey that the job was offered to.
    """

    offered: JobOffered
    miner: Signer
    validator: str
    socket: ValidatorSocket
    receipt: Receipt | None = None
    executor: Executor | None = None
    payload: JobPayload | None = None
    state: JobState = JobState.RECEIVED
    stored_state: JobState = JobState.RECEIVED
    started_at: float = field(default_factory=monotonic)
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    is_cancelled: bool = False

    @property
    def uuid(self) -> str:
        """The UUID of the job."""
        return self.offered.job_uuid

    @property
    def parties(self) -> Parties:
        """The hotkeys of miner and validator."""
        return Parties(self.miner.ss58_address, self.validator)
