"""`run()`: runs one job and waits for its result, for scripts and for the command line."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.left_out import LeftOut
from compute_horde_sdk import config, input_output_files, output_targets
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.errors import (
    ComputeHordeError,
    InvalidRequestError,
    attach_job_to_errors,
)
from compute_horde_sdk.job_result import ComputeHordeJobResult, HttpOutputVolumeResponse
from compute_horde_sdk.job_spec import (
    DOWNLOAD_SECONDS,
    EXECUTION_SECONDS,
    UPLOAD_SECONDS,
    ComputeHordeJobSpec,
)
from compute_horde_sdk.job_status import (
    ComputeHordeJobFailure,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobError,
)
from compute_horde_sdk.job_unsuccessful import JobUnsuccessful
from compute_horde_sdk.jobs import ComputeHordeJob, ProgressCallback, StatusCallback
from compute_horde_sdk.local_files import SkippedInput
from compute_horde_sdk.log_follower import LogFollower, OutputCallback

if TYPE_CHECKING:
    from compute_horde.signing import Signer
    from compute_horde_sdk.facilitator.http import NoticeCallback, ProblemCallback

log = logging.getLogger(__name__)

Paths = (
    Mapping[str, str]
    | Mapping[str, PurePath]
    | Mapping[PurePath, str]
    | Mapping[PurePath, PurePath]
)
NAMESPACE = "SN12.run"
ARTIFACTS_DIR = "/artifacts"


@dataclass(frozen=True)
class RunResult:
    """Status and results of a job. `exit_code` is None when no container exited.

    `saved` are the local files that `outputs` wrote, `inputs_left_out` the local files that were
    not sent, `left_out` and `truncated` the parts of the result that did not come back.
    """

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
    inputs_left_out: list[SkippedInput] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    truncated: dict[str, int] = field(default_factory=dict)
    stdout_bytes: bytes = field(default=b"", repr=False)
    stderr_bytes: bytes = field(default=b"", repr=False)


def run(
    image: str,
    args: Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    inputs: Paths | None = None,
    outputs: Paths | None = None,
    artifacts_dir: str | PurePath | None = None,
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
    problem_callback: "ProblemCallback | None" = None,
    notice_callback: "NoticeCallback | None" = None,
    check: bool = True,
    hotkey: "Signer | str | Path | None" = None,
    validator_hotkey: str | None = None,
    facilitator_url: str | None = None,
    env_file: str | Path | None = None,
) -> RunResult:
    """Run one job and wait for it.

    `inputs` maps local files, folders and URLs to paths below /volume/, `outputs` files in
    `artifacts_dir` ("." for all) to local paths. Facilitator and hotkeys default to `env_file`,
    then FACILITATOR_URL, USER_HOTKEY_FILE and VALIDATOR_HOTKEY. Times are in seconds.
    `output_callback` gets live `LogPiece`s, `problem_callback` a text while retrying, then None,
    `notice_callback` warnings. `check` raises `JobUnsuccessful` if the job does not complete.
    """
    _check_timeout(timeout)
    client, machine = make_client(
        hotkey, validator_hotkey, facilitator_url, executor_class, env_file
    )
    limits = download_time_limit, execution_time_limit, upload_time_limit
    spec = ComputeHordeJobSpec(machine, namespace, image, *limits, args=args, env=env or {})
    wanted, where = _checked_outputs(outputs, artifacts_dir)
    spec.artifacts_dir = where
    skipped = _pack_inputs(spec, inputs, notice_callback or log.warning)
    callbacks = _Callbacks(
        status_callback, progress_callback, output_callback, problem_callback, notice_callback
    )
    job = run_sync(lambda: _run_job(client, spec, callbacks, trusted=trusted, timeout=timeout))
    if check and not job.status.is_successful():
        raise JobUnsuccessful(job)
    return replace(outcome(job, wanted, where, notice_callback), inputs_left_out=skipped)


def _checked_outputs(
    outputs: Paths | None, artifacts_dir: str | PurePath | None
) -> tuple[dict[str, str], str | None]:
    """The outputs as {remote: local} and the artifacts directory, after checking both."""
    wanted = {str(remote): str(local) for remote, local in (outputs or {}).items()}
    where = str(artifacts_dir) if artifacts_dir else ARTIFACTS_DIR if wanted else None
    output_targets.check(wanted, where or ARTIFACTS_DIR)
    return wanted, where


def _pack_inputs(
    spec: ComputeHordeJobSpec, inputs: Paths | None, on_skipped: Callable[[str], None]
) -> list[SkippedInput]:
    """Put the inputs into `spec`; parts that cannot be sent are reported and returned."""
    skipped: list[SkippedInput] = []
    if inputs:
        spec.input_volumes = input_output_files.input_volumes(inputs.items(), skipped.append)
    for one in skipped:
        on_skipped(str(one))
    return skipped


@dataclass(frozen=True, slots=True)
class _Callbacks:
    status: StatusCallback | None
    progress: ProgressCallback | None
    output: OutputCallback | None
    problem: "ProblemCallback | None"
    notice: "NoticeCallback | None"


async def _run_job(
    client: ComputeHordeClient,
    spec: ComputeHordeJobSpec,
    callbacks: _Callbacks,
    *,
    trusted: bool,
    timeout: float | None,
) -> ComputeHordeJob:
    """Submit a job and wait for it."""
    async with client:
        client.facilitator.on_problem = callbacks.problem
        if callbacks.notice:
            client.facilitator.on_notice = callbacks.notice
        job = await client.create_job(spec, on_trusted_miner=trusted)
        async with LogFollower(callbacks.output) as following:
            job.on_progress = callbacks.progress
            await job.wait(timeout, following.wrap_status_callback(callbacks.status))
        return job


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not timeout > 0:
        raise InvalidRequestError(
            f"timeout={timeout} is not a number of seconds that is more than 0; omit it to wait "
            "until the job ends"
        )


T = TypeVar("T")


def run_sync(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in a new event loop; raises `ComputeHordeError` where a loop already runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    raise ComputeHordeError(
        "run() waits for the job and would block the event loop that runs here; "
        "use `await ComputeHordeClient(...).run_until_complete(...)` instead"
    )


def make_client(
    hotkey: "Signer | str | Path | None" = None,
    validator_hotkey: str | None = None,
    facilitator_url: str | None = None,
    executor_class: str | None = None,
    env_file: str | Path | None = None,
) -> tuple[ComputeHordeClient, ExecutorClass]:
    """A client configured by arguments, `env_file` and environment, and the executor class."""
    settings = config.load(
        facilitator_url=facilitator_url,
        hotkey_file=hotkey if isinstance(hotkey, str | Path) else "-" if hotkey else None,
        validator_hotkey=validator_hotkey,
        executor_class=executor_class,
        env_file=env_file,
    )
    if hotkey is None or isinstance(hotkey, str | Path):
        from compute_horde.keyfile import load_hotkey

        signer: Signer = load_hotkey(settings.hotkey_file)
    else:
        signer = hotkey
    config.check_address(settings.validator_hotkey)
    client = ComputeHordeClient(
        signer, settings.validator_hotkey, facilitator_url=settings.facilitator_url
    )
    return client, settings.executor_class


def outcome(
    job: ComputeHordeJob,
    outputs: Mapping[str, str],
    artifacts_dir: str | None,
    on_notice: "NoticeCallback | None" = None,
) -> RunResult:
    """The result of an ended job; writes its outputs to local files if it completed.

    `on_notice` is called with a warning when there are none, because it did not complete.
    """
    result = job.result or ComputeHordeJobResult("", "", {})
    saved = []
    if outputs and not job.status.is_successful():
        (on_notice or log.warning)(no_files_text(job.uuid, job.status))
    elif outputs:
        saved = _save_outputs(job, result, outputs, artifacts_dir or ARTIFACTS_DIR)
    return RunResult(
        uuid=job.uuid,
        status=job.status,
        exit_code=exit_code(job),
        stdout=result.stdout,
        stderr=result.stderr,
        error=job.error,
        artifacts=result.artifacts,
        upload_results=result.upload_results,
        left_out=result.left_out,
        truncated=result.truncated,
        stdout_bytes=result.stdout_bytes,
        stderr_bytes=result.stderr_bytes,
        statuses=list(job.status_history),
        saved=saved,
        job=job,
    )


def no_files_text(uuid: str, status: ComputeHordeJobStatus) -> str:
    """Message that the requested outputs of a job that did not complete do not exist."""
    return (
        f"no output was saved: job {uuid} ended {status.value}, and the files of a job are kept "
        "only if it completes; of any other job only what it printed is kept"
    )


def _save_outputs(
    job: ComputeHordeJob,
    result: ComputeHordeJobResult,
    outputs: Mapping[str, str],
    artifacts_dir: str,
) -> list[Path]:
    with attach_job_to_errors(job.uuid, job):
        try:
            return input_output_files.save_outputs(result, outputs, artifacts_dir)
        except OSError as exc:
            raise ComputeHordeError(
                f"an output of job {job.uuid} cannot be written: {exc}"
            ) from exc


def exit_code(job: ComputeHordeJob) -> int | None:
    """The container's exit status, or None when it is unknown."""
    if job.status.is_successful():
        return 0
    error = job.error
    return error.docker_process_exit_status if isinstance(error, ComputeHordeJobFailure) else None
