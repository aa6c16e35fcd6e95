"""The kind `echo`, for development: the container prints a text that it is given."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.protocol.job import JobFinished
from validator.synthetic.kinds.kind import (
    BatchFacts,
    DeclaredExecutor,
    Preparation,
    PreparedJob,
    TimeLimits,
    Verdict,
    compared,
)


class EchoParameters(BaseModel):
    """The parameters of `echo` in the settings; the image gets the arguments `echo TEXT`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = "computehorde/hash:v1"
    seconds: int = Field(10, ge=1, le=3600)


class EchoKind:
    """Has each executor print a text of its own."""

    Parameters = EchoParameters

    def __init__(self, parameters: EchoParameters) -> None:
        self._parameters = parameters

    async def prepare(
        self, facts: BatchFacts, executors: Sequence[DeclaredExecutor]
    ) -> Preparation:
        """A text for every executor; there is never a shortage."""
        del facts
        return Preparation([self._job(executor) for executor in executors])

    def verify(self, job: PreparedJob, result: JobFinished, seconds: float) -> Verdict:
        """One point for the text."""
        return compared(job, result, seconds)

    def _job(self, executor: DeclaredExecutor) -> PreparedJob:
        return PreparedJob(
            kind="echo",
            executor=executor,
            image=self._parameters.image,
            args=["echo", executor.seed],
            limits=TimeLimits(self._parameters.seconds),
            expected=executor.seed,
        )
