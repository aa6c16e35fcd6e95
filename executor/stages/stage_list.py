"""What a stage of a job is, and the ordered list that runs them.

A further stage is one class and one entry in `executor.session.job_stages`. Its place there decides
which messages it precedes: that of a stage is sent before the next stage begins.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

from compute_horde.errors import Cancelled
from compute_horde.protocol.message import Message
from compute_horde.vocabulary import Stage
from executor.job_context import JobContext


class JobStage(Protocol):
    """One stage of one job; only `name` and `run` must be given.

    A stage keeps what only it needs in its own attributes and writes what others need into the
    fields of the context that it owns.
    """

    # What failures and progress report as the stage; a stage may change it while it runs.
    name: Stage

    def prestart(self, context: JobContext) -> None:
        """Start in the background what needs no job; called when the executor is connected."""
        return

    def deadline(self, context: JobContext) -> asyncio.Timeout:
        """Begin the stage; the timeout around `run`, by default none."""
        return asyncio.timeout(None)

    async def run(self, context: JobContext) -> Message | None:
        """Do the work; returns the message for the miner that the stage is done, if there is one.

        Any exception ends the job, as a failure of this stage.
        """

    def timeout_error(self) -> Exception | None:
        """What replaces a `TimeoutError` of `run`; by default nothing does.

        Without it, a stage that is too slow is the job's fault, except at startup.
        """
        return None

    async def stop(self, error: Cancelled) -> Cancelled:
        """End at once what the stage started, as the user cancelled the job; raises nothing.

        Returns the error to report: `error`, or one with the job's output. Called for every stage,
        also for one that did not run.
        """
        return error

    def clean_up(self) -> None:
        """Release what the stage holds; called once for every stage, also when it did not run."""
        return


class StageList:
    """Runs the stages of one job in order; stops them and cleans up in reverse order."""

    def __init__(self, stages: Sequence[JobStage]) -> None:
        self._stages = stages
        self._current = stages[0]

    @property
    def current_name(self) -> Stage:
        """The name of the present stage: the first one before `run`, the last one after it."""
        return self._current.name

    def prestart(self, context: JobContext) -> None:
        """Let every stage start what needs no job."""
        for stage in self._stages:
            stage.prestart(context)

    async def run(self, context: JobContext) -> None:
        """Run all stages and send the message of each; raises what the first failing one raises."""
        for stage in self._stages:
            self._current = stage
            try:
                async with stage.deadline(context):
                    message = await stage.run(context)
            except TimeoutError as exc:
                if error := stage.timeout_error():
                    raise error from exc
                raise
            if message is not None:
                await context.send(message)

    async def stop(self, error: Cancelled) -> Cancelled:
        """Stop all stages; returns the error to report, with the job's output."""
        for stage in reversed(self._stages):
            error = await stage.stop(error)
        return error

    def clean_up(self) -> None:
        """Clean up after all stages, also when one cannot, which raises its error at the end."""
        with ExitStack() as cleaning:
            for stage in self._stages:
                cleaning.callback(stage.clean_up)
