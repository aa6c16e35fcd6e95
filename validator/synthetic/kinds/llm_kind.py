"""The kind `llm`: an executor answers a series of prompts by a secret seed, with a language model.

Of a few of the prompts the validator knows the answers; the miner does not know of which. Whoever
answers only a part of the prompts is found out with the probability of the rest.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.addresses import Reach
from compute_horde.protocol.job import JobFinished, StreamingDetails, StreamingReady
from compute_horde.uploads import FilePut
from compute_horde.volumes import MultiVolume, SimpleVolume, SingleFileVolume
from validator.llm.programs.answer_file import BadFileError, answers_text, digest, read_answers
from validator.llm.sample import LlmSample, Taker
from validator.synthetic.kinds import llm_check
from validator.synthetic.kinds.answer_download import NoAnswersError, download
from validator.synthetic.kinds.kind import (
    BatchFacts,
    DeclaredExecutor,
    Preparation,
    PreparedJob,
    TimeLimits,
    Verdict,
)
from validator.synthetic.kinds.llm_check import Tolerance
from validator.synthetic.kinds.seed_delivery import SeedError, deliver_seed, opened, terminate

if TYPE_CHECKING:
    from compute_horde.streaming.certificates import Identity

SHA_256 = re.compile(r"[0-9a-f]{64}")
WEIGHTS_FOLDER = "weights"
# A batch may begin its last offer so long after its links were made.
LINK_SPARE_SECONDS = 900
# As in the default of VALIDATOR_NEW_MINER_TIME_FACTOR.
NEW_MINER_FACTOR = 2
# For the answer to the seed to travel.
HTTP_LEEWAY_SECONDS = 5


class LlmParameters(BaseModel):
    """The parameters of `llm` in the settings; all times are in seconds.

    `buffered`: the seed is an argument of the job, which prints the hash of its answers.
    `streaming`: the job loads its model and waits; the validator sends the seeds at the start
    signal, when all are ready or `start_seconds` after its own job is, and gets the hash within
    `seconds`. In both forms the answers are uploaded, and compared with the hash and the trusted
    answers. `promised_seconds` is how long an executor takes that keeps the promise of its class,
    from the seed to the hash: a miner's efficiency is measured by it, and not without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal["buffered", "streaming"] = "buffered"
    seconds: int = Field(150, ge=1, le=3600)
    download_seconds: int = Field(30, ge=1, le=3600)
    upload_seconds: int = Field(30, ge=1, le=3600)
    ready_seconds: int = Field(300, ge=1, le=3600)
    start_seconds: int = Field(30, ge=0, le=3600)
    comparison: Literal["declared", "exact", "tolerant"] = "declared"
    tolerance: float = Field(0.05, ge=0, le=20)
    honest_deviations: float = Field(4.0, ge=0, le=1000)
    least_length: float = Field(0.1, ge=0, le=1)
    promised_seconds: float | None = Field(None, gt=0, le=3600)

    @property
    def allowed(self) -> Tolerance:
        """How answers may differ in the comparison with tolerance."""
        return Tolerance(self.tolerance, self.honest_deviations, self.least_length)

    @property
    def limits(self) -> TimeLimits:
        """The time limits of a job."""
        if self.form == "buffered":
            return TimeLimits(self.seconds, self.download_seconds, self.upload_seconds)
        seconds = self.start_seconds + self.seconds + HTTP_LEEWAY_SECONDS
        return TimeLimits(seconds, self.download_seconds, self.upload_seconds, self.ready_seconds)


class LlmKind:
    """Gives each executor one sample, and checks its answers when the batch has ended."""

    Parameters = LlmParameters

    def __init__(self, parameters: LlmParameters) -> None:
        self._parameters = parameters
        self.start_seconds = float(parameters.start_seconds)
        self._reach = Reach()
        self._samples: dict[DeclaredExecutor, LlmSample] = {}
        # By executor: the hash that its streaming job answered the seed with, or why there is none.
        self._answered: dict[DeclaredExecutor, str | SeedError] = {}
        self._seconds: dict[DeclaredExecutor, float] = {}

    async def prepare(
        self, facts: BatchFacts, executors: Sequence[DeclaredExecutor]
    ) -> Preparation:
        """A sample for each executor, as far as there are any."""
        if facts.samples is None:
            return Preparation([], "this batch has no samples")
        self._reach = facts.reach
        takers = [Taker(one.hotkey, one.seed) for one in executors]
        taken = await facts.samples.take(takers, self._link_seconds())
        if self._parameters.form == "streaming":
            # It is generated here, not while the event loop measures miners.
            await asyncio.to_thread(lambda: self._identity)
        given = list(zip(executors, taken.samples, strict=False))
        self._samples |= dict(given)
        return Preparation([self._job(*one) for one in given], taken.shortage)

    def verify(self, job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
        """A provisional point for a hash that came in time; `confirm` looks at the answers."""
        metrics = {"seconds": seconds}
        if self._parameters.promised_seconds is not None:
            metrics["promised"] = self._parameters.promised_seconds
        if self._parameters.form == "streaming":
            found = self._answered.get(job.executor, SeedError("the seed was not asked for"))
            if isinstance(found, SeedError):
                return Verdict(0, str(found)[:200], metrics)
            metrics["answering_seconds"] = self._seconds[job.executor]
        else:
            found = result.docker_process_stdout.strip()
        if not SHA_256.fullmatch(found):
            return Verdict(0, "the job gave no SHA-256 of its answers", metrics)
        return Verdict(1, found, metrics)

    async def confirm(self, job: PreparedJob, provisional: Verdict) -> Verdict:
        """Download the answers, and compare them with their hash and the trusted ones."""
        sample = self._samples[job.executor]
        try:
            content = await download(sample.download_url)
            if digest(content) != provisional.reason:
                return replace(provisional, points=0, reason="the answers are not those hashed")
            answers = read_answers(content)
        except NoAnswersError as exc:
            return replace(provisional, points=0, reason=str(exc))
        except BadFileError as exc:
            return replace(provisional, points=0, reason=f"the file of answers: {exc}"[:200])
        found = llm_check.check(
            answers,
            sample.checked,
            is_exact=self._is_exact(sample),
            tolerance=self._parameters.allowed,
        )
        metrics = {
            **provisional.metrics,
            "checked_prompts": len(sample.checked),
            "tokens": found.tokens,
            "differing": found.differing,
            "worst_margin": found.worst_margin,
        }
        return Verdict(int(found.is_right), found.reason, metrics)

    async def drive(self, job: PreparedJob, server: StreamingReady, time_factor: int) -> None:
        """Send the seed to a streaming job, and keep the hash that it answers."""
        sample, executor = self._samples[job.executor], job.executor
        seconds = self._parameters.seconds * time_factor + HTTP_LEEWAY_SECONDS
        try:
            async with opened(server, self._identity, self._reach) as client:
                began = monotonic()
                # Stored before the job is ended, since its result may come at once then.
                digest_of_answers = await deliver_seed(client, sample.seed, seconds)
                self._seconds[executor] = monotonic() - began
                self._answered[executor] = digest_of_answers
                await terminate(client)
        except SeedError as exc:
            self._answered[executor] = exc

    @cached_property
    def _identity(self) -> "Identity":
        """The validator's certificate for all streaming jobs of this kind in a batch."""
        # Only here: every process of the validator loads the kinds.
        from compute_horde.streaming.certificates import new_identity

        return new_identity()

    def _is_exact(self, sample: LlmSample) -> bool:
        if self._parameters.comparison == "declared":
            return sample.is_deterministic
        return self._parameters.comparison == "exact"

    def _link_seconds(self) -> int:
        """How long presigned URLs must be valid, with the longer limits of new miners."""
        limits = self._parameters.limits
        own = limits.download + limits.streaming_start + limits.execution + limits.upload
        return NEW_MINER_FACTOR * own + LINK_SPARE_SECONDS

    def _job(self, executor: DeclaredExecutor, sample: LlmSample) -> PreparedJob:
        is_streaming = self._parameters.form == "streaming"
        file = f"{sample.name}.txt"
        start = "--server" if is_streaming else f"--seed={sample.seed}"
        volumes: list[SimpleVolume] = [SingleFileVolume(url=sample.prompts_url, relative_path=file)]
        if sample.weights:
            volumes.append(sample.weights.model_copy(update={"relative_path": WEIGHTS_FOLDER}))
        details = StreamingDetails(public_key=self._identity.pem) if is_streaming else None
        return PreparedJob(
            kind="llm",
            executor=executor,
            image=sample.image,
            args=[*sample.arguments, start, f"/volume/{file}"],
            limits=self._parameters.limits,
            expected=answers_text({one.content: one.answer for one in sample.checked}).decode(),
            volume=MultiVolume(volumes=volumes) if len(volumes) > 1 else volumes[0],
            output_upload=FilePut(url=sample.upload_url, relative_path=f"{sample.name}.json"),
            streaming_details=details,
        )
