"""What the stages of one job share: its resources, its messages, and what each stage has made."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from compute_horde.protocol.job import JobFinished, JobOffered, JobPayload
from compute_horde.protocol.message import Message
from executor.config import Config
from executor.deadlines import StageDeadlines
from executor.inbox import MinerInbox
from executor.output.live_output import LiveOutputSender
from executor.sandbox.container import Container
from executor.sandbox.engine import Engine, Image
from executor.sandbox.workdir import WorkDir
from executor.stages.container_run import ContainerRun
from executor.stages.output_uploads import LeftOutOfOutput
from executor.streaming.job_service import StreamingService

T = TypeVar("T")


@dataclass(slots=True, eq=False, repr=False)
class JobContext:
    """One job, as far as it has come; each field is written by the owner that is named above it.

    To read a field that has no default before it is written raises `AttributeError`.
    """

    # The process.
    executor_id: str
    engine: Engine
    work: WorkDir
    config: Config

    # The session, when the executor is connected.
    inbox: MinerInbox = field(init=False)
    send: Callable[[Message], Awaitable[None]] = field(init=False)

    # The session, when the job is offered. `job_config` has the executor class of the job, which
    # decides its limits.
    offered: JobOffered = field(init=False)
    job_config: Config = field(init=False)
    live_output: LiveOutputSender = field(init=False)

    # `StartupStage`. `pulling` fetches the image of the offer, `specs` describes a GPU machine.
    service: StreamingService | None = None
    specs: asyncio.Task[dict[str, Any]] | None = None
    pulling: asyncio.Task[Image] | None = None
    deadlines: StageDeadlines = field(init=False)

    # `DownloadStage`.
    payload: JobPayload = field(init=False)
    image: Image = field(init=False)

    # `ContainerStage`.
    run: ContainerRun = field(init=False)

    # `UploadStage`. `upload_results` are the servers' answers as JSON, by file name.
    left_out: LeftOutOfOutput = field(init=False)
    upload_results: dict[str, str] = field(init=False)

    # `ResultStage`.
    finished: JobFinished = field(init=False)

    # Every stage adds the tasks that create its containers, which the process removes at the end.
    creating: list[asyncio.Task[Container]] = field(init=False, default_factory=list)
    # Tasks of all stages that must not outlive the session.
    background: list[asyncio.Task[Any]] = field(init=False, default_factory=list)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `coroutine` in the background, at the longest until `end_tasks`."""
        task = asyncio.create_task(coroutine)
        self.background.append(task)
        return task

    async def end_tasks(self) -> None:
        """Cancel the background tasks and wait for their end; what they raise is dropped."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
