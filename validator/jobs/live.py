"""A job in the listener's hands."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from compute_horde.blame import Ending, failure
from compute_horde.errors import Cancelled, HordeError, RejectionError
from compute_horde.lifecycle import CLAIMS
from compute_horde.protocol.job import JobDeclined, JobRequested
from compute_horde.signing import RequestSignature
from compute_horde.vocabulary import JobState, Party, Stage
from validator.jobs.conversation import Issued
from validator.jobs.intervals import Worked
from validator.jobs.ledger import Fact, Move
from validator.jobs.models import Job
from validator.jobs.rules import Wish


@dataclass
class LiveJob:
    """What the conductor knows of a job; ahead of its row by what the scribe still holds."""

    request: JobRequested
    kind: Job.Kind
    wanted_miner: str = ""
    state: JobState = JobState.RECEIVED
    miner: str = ""
    deadline: datetime | None = None
    accepted_at: datetime | None = None
    shunned: set[str] = field(default_factory=set)
    last_decline: JobDeclined | None = None
    closing: Issued | None = None
    worked: Worked = field(default_factory=Worked)
    cancelled_at: datetime | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, job: Job) -> "LiveJob":
        """As its row remembers it."""
        live = cls(
            job.request,
            Job.Kind(job.kind),
            job.wanted_miner,
            job.job_state,
            job.miner,
            job.deadline,
            job.accepted_at,
            worked=job.worked or Worked(),
        )
        if job.cancel_asked_at:
            live.cancel(job.cancel_asked_at)
        return live

    def cancel(self, at: datetime) -> None:
        """End it as soon as may be; it is paid for until then."""
        self.cancelled_at = self.cancelled_at or at
        self.cancelled.set()

    @property
    def uuid(self) -> str:
        """The job's name everywhere."""
        return self.request.uuid

    @property
    def wish(self) -> Wish:
        """What it wants of a miner now."""
        return Wish(
            self.uuid, self.request.executor_class, self.wanted_miner, frozenset(self.shunned)
        )

    def ending(self, problem: RejectionError | HordeError | Cancelled) -> Fact:
        """Our own verdict on a job that no miner has, or that we lost."""
        if isinstance(problem, RejectionError):
            declined = JobDeclined(job_uuid=self.uuid, reason=problem.reason, message=str(problem))
            return Fact(JobState.REJECTED, declined, Party.VALIDATOR)
        failed = self.failed(problem)
        return Fact(CLAIMS[type(failed)], failed, Party.VALIDATOR)

    def failed(self, error: Exception) -> Ending:
        """What to say of an error of ours."""
        return failure(
            error, job_uuid=self.uuid, seen_by=Party.VALIDATOR, during=Stage.EXECUTOR_STARTUP
        )

    def row(self, digest: str | None) -> Job:
        """The row of a new job."""
        signature: RequestSignature | None = self.request.signature
        return Job(
            uuid=self.uuid,
            kind=self.kind,
            executor_class=self.request.executor_class,
            docker_image=self.request.docker_image[:512].replace("\0", ""),
            spec=self.request.encode(),
            signatory=(signature.signatory if signature else "")[:64].replace("\0", ""),
            request_digest=digest,
            wanted_miner=self.wanted_miner,
        )

    def move(self, *facts: Fact, receipts: tuple[Issued, ...] = ()) -> Move:
        """A write that leaves the job where the last fact took it."""
        before = self.state
        self.state = facts[-1].state if facts else before
        return Move(
            self.uuid,
            before,
            self.state,
            self.miner,
            self.deadline,
            self.accepted_at,
            facts,
            receipts,
        )
