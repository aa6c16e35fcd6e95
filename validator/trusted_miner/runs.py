"""Runs one job on the trusted miner, with the messages and deadlines of any other job.

Nothing of such a job is stored: it has no row, earns nothing, and the receipts that the protocol
demands are kept by nobody but the trusted miner.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.deadlines import TIMED_OUT
from compute_horde.hardware import PROMISES, ExecutorClass
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import (
    HordeFailed,
    JobDeclined,
    JobFailed,
    JobFinished,
    JobRequested,
    StreamingDetails,
    StreamingReady,
)
from compute_horde.protocol.message import JobMessage
from compute_horde.signing import Signer
from compute_horde.steady_clock import steady_now
from compute_horde.uploads import Upload
from compute_horde.vocabulary import FailureReason, HordeReason, JobState, RejectionReason
from compute_horde.volumes import Volume
from validator.config import Config
from validator.jobs.conversation import (
    MinerContract,
    finished_receipt_message,
    run_conversation,
    send_if_connected,
)
from validator.jobs.rules import ValidatorTiming, budget
from validator.jobs.steps import Step
from validator.miners.connection import Address, MinerConnection
from validator.miners.job_connections import JobConnections
from validator.receipts.rules import ZERO
from validator.trusted_miner.errors import (
    TrustedJobFailedError,
    TrustedJobTimedOutError,
    TrustedMinerDeclinedError,
    TrustedMinerError,
    TrustedMinerNotConfiguredError,
    TrustedMinerUnreachableError,
)

BUSY_PAUSE_SECONDS = 1.0
TIMEOUTS = frozenset(TIMED_OUT.values()) | {
    HordeReason.STREAMING_JOB_READY_TIMED_OUT,
    HordeReason.UNHANDLED_TIMEOUT,
}

OnStreaming = Callable[[StreamingReady], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TrustedMiner:
    """Where the trusted miner listens, and how this validator speaks to it.

    `absence_seconds` is how long it may be disconnected before its jobs fail.
    """

    address: Address
    validator: Signer
    timing: ValidatorTiming
    absence_seconds: float

    @classmethod
    def configured(cls, config: Config) -> "TrustedMiner | None":
        """The trusted miner of these settings; None when there is none."""
        if not config.trusted_miner_address:
            return None
        address = Address(
            TRUSTED_MINER_HOTKEY, config.trusted_miner_address, config.trusted_miner_port
        )
        return cls(address, config.hotkey, config.timing, config.miner_absence_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedJob:
    """A job for the trusted miner; time limits are in seconds."""

    image: str
    executor_class: ExecutorClass
    execution_seconds: int
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volume: Volume | None = None
    output_upload: Upload | None = None
    artifacts_dir: str | None = None
    download_seconds: int = 0
    upload_seconds: int = 0
    streaming_start_seconds: int = 0
    streaming_details: StreamingDetails | None = None

    def request(self) -> JobRequested:
        """The request for this job, with a new UUID."""
        return JobRequested(
            uuid=str(uuid4()),
            executor_class=self.executor_class,
            docker_image=self.image,
            args=list(self.args),
            env=dict(self.env),
            use_gpu=PROMISES[self.executor_class].gpu,
            volume=self.volume,
            output_upload=self.output_upload,
            artifacts_dir=self.artifacts_dir,
            on_trusted_miner=True,
            download_time_limit=self.download_seconds,
            execution_time_limit=self.execution_seconds,
            upload_time_limit=self.upload_seconds,
            streaming_start_time_limit=self.streaming_start_seconds,
            streaming_details=self.streaming_details,
        )


@dataclass(frozen=True, slots=True)
class TrustedResult:
    """What a job returned on the trusted miner.

    `artifacts` are the files of the artifacts directory by their path, `upload_results` the answers
    of upload URLs as JSON text. `seconds` is the time from the full job to the result. `message` is
    the miner's message as it came.
    """

    job_uuid: str
    stdout: str
    stderr: str
    artifacts: Mapping[str, bytes]
    upload_results: Mapping[str, str]
    seconds: float
    message: JobFinished


async def run_trusted_job(
    job: TrustedJob | JobRequested,
    miner: TrustedMiner | None,
    *,
    busy_seconds: float = 0,
    on_streaming: OnStreaming | None = None,
) -> TrustedResult:
    """Run a job on the trusted miner and return its result.

    Every offer has a connection and a UUID of its own. A miner that is busy is asked again for
    `busy_seconds`. `on_streaming` is awaited once the job's streaming service is ready.

    Raises:
        TrustedMinerNotConfiguredError: `miner` is None.
        TrustedMinerUnreachableError: the miner does not answer, or was lost during the job.
        TrustedMinerDeclinedError: the miner takes no such job, or is still busy.
        TrustedJobTimedOutError: a time limit passed.
        TrustedJobFailedError: the job failed for another reason.
    """
    if miner is None:
        raise TrustedMinerNotConfiguredError
    request = job.request() if isinstance(job, TrustedJob) else job
    loop = asyncio.get_running_loop()
    give_up = loop.time() + busy_seconds
    while True:
        try:
            return await _TrustedRun(miner, request, on_streaming).run()
        except TrustedMinerDeclinedError as exc:
            is_busy = exc.reason is RejectionReason.BUSY
            if not is_busy or loop.time() + BUSY_PAUSE_SECONDS > give_up:
                raise
        await asyncio.sleep(BUSY_PAUSE_SECONDS)


class _TrustedRun:
    """One offer of a job to the trusted miner, and what follows."""

    def __init__(
        self, miner: TrustedMiner, request: JobRequested, on_streaming: OnStreaming | None
    ) -> None:
        self._miner = miner
        self._on_streaming = on_streaming
        # Unsigned: the validator's own, whoever asked for it.
        changes = {"uuid": str(uuid4()), "signature": None, "on_trusted_miner": True}
        self._request = request.model_copy(update=changes)
        self._contract = MinerContract(
            self._request,
            TRUSTED_MINER_HOTKEY,
            miner.validator,
            budget(self._request, miner.timing),
            is_organic=False,
        )
        self._ready_at: datetime | None = None

    async def run(self) -> TrustedResult:
        connections = JobConnections(
            self._miner.validator, absence_seconds=self._miner.absence_seconds
        )
        address = self._miner.address
        try:
            async with connections.opened(address, lambda *_: None) as connection:
                return self._result(await self._last_step(connection))
        except ConnectionLostError as exc:
            raise TrustedMinerUnreachableError(
                f"the trusted miner at {address.host}:{address.port} cannot be reached ({exc}): "
                "check that it runs and accepts this validator's hotkey"
            ) from exc

    async def _last_step(self, connection: MinerConnection) -> Step:
        """Hold the conversation; returns its last step.

        However it ends, the miner is sent the finished receipt, with which it ends the job.
        """
        try:
            step = await self._follow(connection)
        except BaseException:
            await self._send_finished_receipt(connection)
            raise
        if not isinstance(step.message, JobDeclined):
            await self._send_finished_receipt(connection)
        return step

    async def _follow(self, connection: MinerConnection) -> Step:
        started = self._contract.sign_started_receipt(_now())
        steps = run_conversation(self._contract, connection, now=_now, started=started)
        async with aclosing(steps):
            async for step in steps:
                if not step.has_changed_state:
                    continue
                if step.state is JobState.EXECUTOR_READY:
                    self._ready_at = steady_now()
                if isinstance(step.message, StreamingReady) and self._on_streaming:
                    await self._on_streaming(step.message)
                if step.state in FINAL:
                    break
        return step

    async def _send_finished_receipt(self, connection: MinerConnection) -> None:
        receipt = self._contract.sign_finished_receipt(ZERO, _now())
        await send_if_connected(connection, finished_receipt_message(receipt))

    def _result(self, step: Step) -> TrustedResult:
        message = step.message
        if not isinstance(message, JobFinished):
            raise _error_of(message)
        took = steady_now() - (self._ready_at or steady_now())
        return TrustedResult(
            job_uuid=self._request.uuid,
            stdout=message.docker_process_stdout,
            stderr=message.docker_process_stderr,
            artifacts=_decoded(message.artifacts or {}),
            upload_results=message.upload_results or {},
            seconds=took.total_seconds(),
            message=message,
        )


def _error_of(message: JobMessage) -> TrustedMinerError:
    match message:
        case JobDeclined():
            return TrustedMinerDeclinedError(message.reason, message.message)
        case JobFailed(reason=FailureReason.TIMEOUT):
            return TrustedJobTimedOutError(f"the job on the trusted miner: {message.message}")
        case JobFailed():
            return TrustedJobFailedError(
                f"the job on the trusted miner failed ({message.reason}): {message.message}",
                exit_status=message.docker_process_exit_status,
                stdout=message.docker_process_stdout or "",
                stderr=message.docker_process_stderr or "",
            )
        case HordeFailed() if message.reason in TIMEOUTS:
            return TrustedJobTimedOutError(message.message)
        case HordeFailed(reason=HordeReason.MINER_CONNECTION_FAILED):
            return TrustedMinerUnreachableError(message.message)
        case HordeFailed():
            return TrustedJobFailedError(
                f"the trusted miner failed ({message.reason}): {message.message}"
            )
        case _:
            return TrustedJobFailedError(
                f"the job on the trusted miner ended with {type(message).__name__}"
            )


def _decoded(artifacts: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {path: base64.b64decode(text, validate=True) for path, text in artifacts.items()}
    except (binascii.Error, ValueError) as exc:
        raise TrustedJobFailedError(
            "the trusted miner sent an artifact that is not base64"
        ) from exc


def _now() -> datetime:
    return datetime.now(UTC)
