"""One call that runs one job: for scripts, and for the command line."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from compute_horde.hardware import ExecutorClass
from compute_horde_sdk import config, folders
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.errors import ComputeHordeError, JobUnsuccessful
from compute_horde_sdk.following import Following, OutputCallback
from compute_horde_sdk.jobs import ComputeHordeJob, ProgressCallback, StatusCallback
from compute_horde_sdk.results import ComputeHordeJobResult, HttpOutputVolumeResponse
from compute_horde_sdk.spec import (
    DOWNLOAD_SECONDS,
    EXECUTION_SECONDS,
    UPLOAD_SECONDS,
    ComputeHordeJobSpec,
)
from compute_horde_sdk.statuses import (
    ComputeHordeJobFailure,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobError,
)

if TYPE_CHECKING:
    from compute_horde.signing import Signer

NAMESPACE = "SN12.run"
ARTIFACTS_DIR = "/artifacts"


@dataclass(frozen=True)
class RunResult:
    """How a job went and what it left. `exit_code` is None when no container ended."""

    uuid: str
    status: ComputeHordeJobStatus
    exit_code: int | None
    stdout: str
    stderr: str
    job: ComputeHordeJob = field(repr=False)
    error: JobError | None = None
    artifacts: dict[str, bytes] = field(default_factory=dict, repr=False)
    upload_results: dict[str, HttpOutputVolumeResponse] = field(default_factory=dict)
    statuses: list[ComputeHordeJobStatusEntry] = field(default_factory=list, repr=False)
    saved: list[Path] = field(default_factory=list)


def run(
    image: str,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    artifacts_dir: str | None = None,
    executor_class: str | None = None,
    namespace: str = NAMESPACE,
    trusted: bool = False,
    download_time_limit: int = DOWNLOAD_SECONDS,
    execution_time_limit: int = EXECUTION_SECONDS,
    upload_time_limit: int = UPLOAD_SECONDS,
    timeout: float | None = None,
    status_callback: StatusCallback | None = None,
    progress_callback: ProgressCallback | None = None,
    output_callback: OutputCallback | None = None,
    check: bool = True,
    hotkey: "Signer | str | Path | None" = None,
    validator_hotkey: str | None = None,
    facilitator_url: str | None = None,
    env_file: str | Path | None = None,
) -> RunResult:
    """Run one job and wait for it.

    `inputs` maps local files, folders and URLs to paths below /volume/; `outputs` maps what the
    job left in `artifacts_dir` (a file, or "." for all) to local paths. Whom to ask is said by
    arguments, `env_file`, or the environment: FACILITATOR_URL, USER_HOTKEY_FILE, VALIDATOR_HOTKEY.
    `output_callback` gets each `LogPiece` the job prints, as far as the facilitator tells them
    while it runs. Raises `JobUnsuccessful` when the job does not complete, unless not `check`.
    """
    client, machine = connected(hotkey, validator_hotkey, facilitator_url, executor_class, env_file)
    limits = (download_time_limit, execution_time_limit, upload_time_limit)
    spec = ComputeHordeJobSpec(machine, namespace, image, *limits, args=args, env=env or {})
    spec.artifacts_dir = artifacts_dir or (ARTIFACTS_DIR if outputs else None)
    spec.input_volumes = folders.input_volumes(inputs.items()) if inputs else None

    async def one_job() -> ComputeHordeJob:
        async with client:
            job = await client.create_job(spec, on_trusted_miner=trusted)
            async with Following(output_callback) as following:
                job.on_progress = progress_callback
                await job.wait(timeout, following.with_news(status_callback))
            return job

    job = alone(one_job)
    if check and not job.status.is_successful():
        raise JobUnsuccessful(job)
    return outcome(job, outputs or {}, spec.artifacts_dir)


T = TypeVar("T")


def alone(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in a loop of its own, for callers that have none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    raise ComputeHordeError(
        "run() waits for the job and would block the event loop that runs here; "
        "use `await ComputeHordeClient(...).run_until_complete(...)` instead"
    )


def connected(
    hotkey: "Signer | str | Path | None" = None,
    validator_hotkey: str | None = None,
    facilitator_url: str | None = None,
    executor_class: str | None = None,
    env_file: str | Path | None = None,
) -> tuple[ComputeHordeClient, ExecutorClass]:
    """A client for what arguments, file and environment say, and the class to ask for."""
    known = config.load(
        facilitator_url=facilitator_url,
        hotkey_file=hotkey if isinstance(hotkey, str | Path) else "-" if hotkey else None,
        validator_hotkey=validator_hotkey,
        executor_class=executor_class,
        env_file=env_file,
    )
    if hotkey is None or isinstance(hotkey, str | Path):
        from compute_horde.keyfile import load_hotkey

        signer: Signer = load_hotkey(known.hotkey_file)
    else:
        signer = hotkey
    client = ComputeHordeClient(
        signer, known.validator_hotkey, facilitator_url=known.facilitator_url
    )
    return client, known.executor_class


def outcome(
    job: ComputeHordeJob, outputs: Mapping[str, str], artifacts_dir: str | None
) -> RunResult:
    """What became of an ended job; its outputs are written when it completed."""
    result = job.result or ComputeHordeJobResult("", "", {})
    saved = []
    if job.status.is_successful() and outputs:
        saved = folders.save(result.artifacts, outputs, artifacts_dir or ARTIFACTS_DIR)
    return RunResult(
        uuid=job.uuid,
        status=job.status,
        exit_code=exit_code(job),
        stdout=result.stdout,
        stderr=result.stderr,
        error=job.error,
        artifacts=result.artifacts,
        upload_results=result.upload_results,
        statuses=list(job.status_history),
        saved=saved,
        job=job,
    )


def exit_code(job: ComputeHordeJob) -> int | None:
    """The container's exit status, where one is known."""
    if job.status.is_successful():
        return 0
    error = job.error
    return error.docker_process_exit_status if isinstance(error, ComputeHordeJobFailure) else None
