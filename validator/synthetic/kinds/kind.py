"""What a kind of synthetic job provides: jobs for executors, and a verdict on each result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from compute_horde.addresses import Reach
from compute_horde.errors import OutsideError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobFinished, StreamingDetails, StreamingReady
from compute_horde.uploads import Upload
from compute_horde.volumes import Volume
from validator.llm.sample import SampleSource


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What a kind may know about a batch; `seed` is secret and different in every batch.

    `samples` are prompts with trusted answers, for the kind `llm`, and `reach` is where streaming
    jobs may listen.
    """

    seed: str
    validator: str
    block: int
    samples: SampleSource | None = None
    reach: Reach = field(default_factory=Reach)


@dataclass(frozen=True, slots=True)
class DeclaredExecutor:
    """One executor that a miner declared; `number` counts those of its class from 0.

    `seed` is its own secret, derived from the seed of the batch.
    """

    hotkey: str
    executor_class: ExecutorClass
    number: int
    seed: str


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of a job, in whole seconds."""

    execution: int
    download: int = 0
    upload: int = 0
    streaming_start: int = 0


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job for one executor, and in `expected` what its result is compared with.

    A miner gets the image, the volume and the streaming details with the offer; arguments,
    environment and uploads only when its executor is ready. `expected` is never sent.
    """

    kind: str
    executor: DeclaredExecutor
    image: str
    args: Sequence[str]
    limits: TimeLimits
    expected: str
    env: Mapping[str, str] = field(default_factory=dict)
    volume: Volume | None = None
    output_upload: Upload | None = None
    artifacts_dir: str | None = None
    streaming_details: StreamingDetails | None = None


@dataclass(frozen=True, slots=True)
class Preparation:
    """The jobs for the first executors asked for; `shortage` says why the rest have none."""

    jobs: Sequence[PreparedJob]
    shortage: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a result is worth: points, the reason, and figures that the kind measured."""

    points: int
    reason: str
    metrics: Mapping[str, float] = field(default_factory=dict)


class NotVerifiableError(OutsideError):
    """A result could not be checked for a reason on the validator's side; the text names it."""


def compared(job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
    """The verdict of a kind whose job prints its answer: one point for what is expected."""
    metrics = {"seconds": seconds}
    if result.docker_process_stdout.strip() == job.expected:
        return Verdict(1, "right", metrics)
    return Verdict(0, "wrong answer", metrics)


class Kind(Protocol):
    """A kind of synthetic job, made from its parameters in the settings."""

    async def prepare(
        self, facts: BatchFacts, executors: Sequence[DeclaredExecutor]
    ) -> Preparation:
        """One job for each executor, or for the first ones if there is not enough for all.

        It is called before the first offer, so it may take time, such as for downloads.
        """

    def verify(self, job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
        """The verdict on a result that came in time.

        `seconds` is the time from the full job to the result, without the validator's own delays.
        It is called while other miners are measured, so it must take less than a millisecond.
        """


@runtime_checkable
class ConfirmingKind(Protocol):
    """A kind whose verdict is provisional: results are checked when all attempts have ended."""

    async def confirm(self, job: PreparedJob, provisional: Verdict) -> Verdict:
        """The verdict on a result that earned points at first.

        Raises:
            NotVerifiableError: it cannot be checked, by no fault of the miner.
        """


@runtime_checkable
class StreamingKind(Protocol):
    """A kind whose streaming jobs get something at the start signal."""

    start_seconds: float

    async def drive(self, job: PreparedJob, server: StreamingReady, time_factor: int) -> None:
        """Use the streaming service of a job; its own failures are part of the verdict."""
