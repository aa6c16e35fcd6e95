"""One attempt at a synthetic job while its batch runs, and the job that a miner is offered."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import chain, zip_longest

from compute_horde.faults import Culprit
from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import JobOffered, JobRequested
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import JobState, Party
from validator.jobs.conversation import MinerContract
from validator.jobs.store import Event
from validator.receipts.signing import SignedReceipt
from validator.synthetic.kinds.kind import DeclaredExecutor, Kind, PreparedJob
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

# All messages of a batch are held in memory until its end: about 100 MB for 2 560 attempts whose
# miners send as much as they can.
MAX_CHARACTERS = 2**13
KEPT_CHARACTERS = 2**10


@dataclass(slots=True)
class Times:
    """When an attempt reached its states, by the steady clock; None for those it did not reach."""

    offered: datetime | None = None
    accepted: datetime | None = None
    ready: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None


@dataclass
class Attempt:
    """An executor's attempt at its job: state, events, receipts, times and outcome.

    `time_factor` multiplies the time limits; it is above 1 for new miners. `declined_at` is the
    time of the last offer that the miner declined as busy, `free_executors` how many of the class
    it had free then. `control_fault` is what failed on the validator's side, if that explains how
    the attempt ended. `is_unverified`: it ended in time, but its result could not be checked.
    """

    prepared: PreparedJob
    kind: Kind
    request: JobRequested
    time_factor: int = 1
    state: JobState = JobState.RECEIVED
    outcome: Outcome = Outcome.OPEN
    reason: str = ""
    blamed: Culprit = Culprit.NOBODY
    points: int = 0
    excused: bool = False
    control_fault: str = ""
    free_executors: int | None = None
    is_unverified: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    receipts: list[SignedReceipt] = field(default_factory=list)
    times: Times = field(default_factory=Times)
    accepted_at: datetime | None = None
    declined_at: datetime | None = None
    loop_delay: float = 0.0

    @property
    def executor(self) -> DeclaredExecutor:
        """The executor that is tested."""
        return self.prepared.executor

    @property
    def was_answered(self) -> bool:
        """Whether the miner sent anything about this job, be it right, wrong or against the rules.

        A message against the protocol is no event of its own: the validator reports it.
        """
        sent = any(event.sent_by is not Party.VALIDATOR for event in self.events)
        return sent or self.outcome is Outcome.BROKE_PROTOCOL


@dataclass
class PreparedContract(MinerContract):
    """A contract whose first offer is signed before the clock runs.

    `offered_at` is when the present offer was handed out to be sent.
    """

    started: SignedReceipt | None = None
    offered_at: datetime | None = None
    _prepared: JobOffered | None = None

    def prepare_offer(self, now: datetime) -> SignedReceipt:
        """Sign the started receipt and the offer; both count from `now`."""
        self.started = self.sign_started_receipt(now)
        self._prepared = MinerContract.offer(self, self.started)
        return self.started

    def offer(self, started: SignedReceipt) -> JobOffered:
        """The prepared offer."""
        if self._prepared is None or started is not self.started:
            return MinerContract.offer(self, started)
        return self._prepared


def request(prepared: PreparedJob, uuid: str, time_factor: int = 1) -> JobRequested:
    """The validator's own job request for a prepared job."""
    limits = prepared.limits
    return JobRequested(
        uuid=uuid,
        executor_class=prepared.executor.executor_class,
        docker_image=prepared.image,
        args=list(prepared.args),
        env=dict(prepared.env),
        use_gpu=PROMISES[prepared.executor.executor_class].gpu,
        volume=prepared.volume,
        output_upload=prepared.output_upload,
        artifacts_dir=prepared.artifacts_dir,
        download_time_limit=limits.download * time_factor,
        execution_time_limit=limits.execution * time_factor,
        upload_time_limit=limits.upload * time_factor,
        streaming_start_time_limit=limits.streaming_start * time_factor,
        streaming_details=prepared.streaming_details,
    )


def in_turns(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    """The first attempt of each miner, then the second of each, and so on."""
    by_miner: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_miner.setdefault(attempt.executor.hotkey, []).append(attempt)
    rounds = zip_longest(*by_miner.values())
    return (attempt for attempt in chain.from_iterable(rounds) if attempt)


def blame_nobody_for_silence(attempts: Sequence[Attempt]) -> str:
    """Blame nobody when no miner answered any attempt; returns this problem, or an empty text.

    That all miners fall silent at once is less likely than a failure on the validator's side, which
    cannot be told apart from here. A batch without attempts has no such problem.
    """
    if not attempts or any(attempt.was_answered for attempt in attempts):
        return ""
    for attempt in attempts:
        attempt.blamed = Culprit.NOBODY
        attempt.reason = f"no miner answered: {attempt.reason}"[:REASON_CHARACTERS]
    return (
        "No miner answered: the validator's own network or load. Nothing of this batch counts; "
        "check whether this machine reaches the addresses of miners"
    )


def shortened(message: JobMessage) -> JobMessage:
    """The message, cut when it is longer than what is kept of it."""
    if len(message.encode()) <= MAX_CHARACTERS:
        return message
    cut: dict[str, object] = {}
    for name, value in message:
        if isinstance(value, dict | list | tuple):
            cut[name] = type(value)()
        elif isinstance(value, str) and not isinstance(value, Enum):
            cut[name] = value[:KEPT_CHARACTERS]
    return message.model_copy(update=cut)
