"""The state of a running job in the listener's memory."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from compute_horde.errors import Cancelled, HordeError, RejectionError
from compute_horde.failure_messages import Ending, failure
from compute_horde.lifecycle import CLAIMS
from compute_horde.nul_characters import replace_nul
from compute_horde.protocol.job import JobDeclined, JobRequested
from compute_horde.vocabulary import JobState, Party, Stage
from validator.jobs.interval_receipts import WorkProgress
from validator.jobs.models import Job
from validator.jobs.store import Event, Transition
from validator.receipts.signing import SignedReceipt
from validator.routing.rules import PlacementRequest

# Of a rejected job at most so much is stored; only operators read it.
REJECTED_SPEC_CHARACTERS = 16_384


@dataclass
class LiveJob:
    """A running job; ahead of its database row by the transitions not yet written."""

    request: JobRequested
    kind: Job.Kind
    wanted_miner: str = ""
    state: JobState = JobState.RECEIVED
    miner: str = ""
    deadline: datetime | None = None
    accepted_at: datetime | None = None
    excluded: set[str] = field(default_factory=set)
    # Miners that were sent a started receipt for the job.
    offered_to: set[str] = field(default_factory=set)
    # Whether the block allowance at a miner was too small for the job.
    lacks_allowance: bool = False
    last_decline: JobDeclined | None = None
    finished_receipt: SignedReceipt | None = None
    work_progress: WorkProgress = field(default_factory=WorkProgress)
    cancelled_at: datetime | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def from_row(cls, job: Job) -> "LiveJob":
        """The state as stored in the database row."""
        live = cls(
            job.request,
            Job.Kind(job.kind),
            job.wanted_miner,
            job.job_state,
            job.miner,
            job.deadline,
            job.accepted_at,
            offered_to=set(job.offered_to),
            work_progress=job.work_progress or WorkProgress(),
        )
        if job.cancel_asked_at:
            live.cancel(job.cancel_asked_at)
        return live

    def cancel(self, at: datetime) -> None:
        """Request cancellation; the job is paid for until `at`."""
        self.cancelled_at = self.cancelled_at or at
        self.cancelled.set()

    @property
    def uuid(self) -> str:
        """The UUID of the job."""
        return self.request.uuid

    @property
    def placement(self) -> PlacementRequest:
        """The request for a miner, without the excluded ones."""
        return PlacementRequest(
            self.uuid, self.request.executor_class, self.wanted_miner, frozenset(self.excluded)
        )

    def ending_event(self, problem: RejectionError | HordeError | Cancelled) -> Event:
        """The event with which the validator itself ends the job."""
        if isinstance(problem, RejectionError):
            declined = JobDeclined(
                job_uuid=self.uuid,
                reason=problem.reason,
                message=str(problem),
                context=problem.context,
            )
            return Event(JobState.REJECTED, declined, Party.VALIDATOR)
        failed = self.failure_message(problem)
        return Event(CLAIMS[type(failed)], failed, Party.VALIDATOR)

    def failure_message(self, error: Exception) -> Ending:
        """The failure message for an error of the validator."""
        return failure(
            error, job_uuid=self.uuid, seen_by=Party.VALIDATOR, during=Stage.EXECUTOR_STARTUP
        )

    @property
    def signatory(self) -> str:
        """The signer of the request; empty when it is unsigned."""
        return self.request.signature.signatory if self.request.signature else ""

    def rejected_row(self) -> Job:
        """The row of a rejected job, without long fields."""
        row = self.row(None)
        short: dict[str, Any] = {"volume": None, "output_upload": None, "args": [], "env": {}}
        shorter = {"docker_image": self.request.docker_image[:512], "job_namespace": None}
        for change in (short, short | shorter | {"signature": None, "streaming_details": None}):
            if len(row.spec) > REJECTED_SPEC_CHARACTERS:
                row.spec = self.request.model_copy(update=change).encode()
        return row

    def row(self, digest: str | None, nonce: str | None = None) -> Job:
        """The row of a new job."""
        return Job(
            uuid=self.uuid,
            kind=self.kind,
            executor_class=self.request.executor_class,
            docker_image=replace_nul(self.request.docker_image[:512]),
            spec=self.request.encode(),
            signatory=replace_nul(self.signatory[:64]),
            request_digest=digest,
            nonce_digest=nonce,
            wanted_miner=self.wanted_miner,
        )

    def transition(self, *events: Event, receipts: tuple[SignedReceipt, ...] = ()) -> Transition:
        """Move the job to the state of the last event; return the transition to be written."""
        transition = Transition(
            self.uuid, self.state, self.miner, self.deadline, self.accepted_at, events, receipts
        )
        self.state = transition.after
        return transition
