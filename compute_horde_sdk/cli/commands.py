"""The command `compute-horde`: its subcommands run, list, show and cancel jobs."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial

import typer

from compute_horde_sdk import output_targets
from compute_horde_sdk.cli import cancellation, job_output, json_document, options, rendering, stdio
from compute_horde_sdk.cli.connection_options import (
    ConnectionOptions,
    EnvFile,
    Hotkey,
    Url,
    Validator,
)
from compute_horde_sdk.cli.error_handling import CommandGroup, fail, run_or_exit, stop
from compute_horde_sdk.cli.exit_codes import EXIT_CODES, Exit
from compute_horde_sdk.cli.job_end import finish, save_outputs
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.job_spec import DOWNLOAD_SECONDS, EXECUTION_SECONDS, UPLOAD_SECONDS
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.local_files import STDIN
from compute_horde_sdk.run import (
    ARTIFACTS_DIR,
    NAMESPACE,
    RunResult,
    run,
)

SETTINGS = """
Facilitator, hotkey and validator come from the options, else from --env-file, else from the
environment variables FACILITATOR_URL, USER_HOTKEY_FILE (an unencrypted hotkey file) and
VALIDATOR_HOTKEY; the machine class likewise, from EXECUTOR_CLASS.
The local network writes such a file: --env-file .localnet/env
"""

UNREAD_STDIN = "stdin is not passed on to the job: send it as a file below /volume/ with -i -:NAME"
INTERRUPTED_RUN = "interrupted; a job that was submitted continues. See it with: compute-horde jobs"

app = typer.Typer(
    cls=CommandGroup,
    help="Run container jobs on ComputeHorde, list, show and cancel them." + "\n\n" + SETTINGS,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every_command(*, version: options.Version = False) -> None:
    """Options of the program itself; the help text is that of `app`."""


@app.command(
    "run",
    help="Run one job and wait for it: prints its output, and status lines on stderr. Arguments "
    "after IMAGE are passed to the job.\n\n" + EXIT_CODES + "\n\n" + SETTINGS,
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
)
def run_command(
    image: options.Image,
    args: options.Args = None,
    *,
    env: options.Env = None,
    inputs: options.Inputs = None,
    outputs: options.Outputs = None,
    artifacts_dir: options.ArtifactsDir = None,
    executor_class: options.Class = None,
    namespace: options.Namespace = NAMESPACE,
    trusted: options.Trusted = False,
    download_limit: options.DownloadLimit = DOWNLOAD_SECONDS,
    execution_limit: options.ExecutionLimit = EXECUTION_SECONDS,
    upload_limit: options.UploadLimit = UPLOAD_SECONDS,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    wanted, sent, where = _checked_options(outputs, inputs, artifacts_dir, as_json=as_json)
    connection = ConnectionOptions(env_file, facilitator_url, hotkey_file, validator_hotkey)
    request = partial(
        run,
        image,
        args or (),
        env=options.pairs(env, "-e"),
        inputs=sent,
        artifacts_dir=where,
        executor_class=executor_class,
        namespace=namespace,
        trusted=trusted,
        download_time_limit=download_limit,
        execution_time_limit=execution_limit,
        upload_time_limit=upload_limit,
        timeout=timeout,
        check=False,
        **asdict(connection),
    )
    result, output = _run_with_progress(request, connection, as_json=as_json, raw=raw)
    if STDIN not in sent and stdio.has_unread_stdin():
        stdio.print_stderr(UNREAD_STDIN)
    skipped = result.inputs_left_out
    finish(result.job, wanted, where, as_json=as_json, output=output, skipped=skipped)


def _checked_options(
    outputs: list[str] | None,
    inputs: list[str] | None,
    artifacts_dir: str | None,
    *,
    as_json: bool,
) -> tuple[dict[str, str], dict[str, str], str | None]:
    """Outputs, inputs and the artifacts directory; ends the command when they are invalid."""
    wanted, sent = options.pairs(outputs, "-o"), options.pairs(inputs, "-i")
    where = artifacts_dir or (ARTIFACTS_DIR if wanted else None)
    if STDIN not in sent and stdio.has_unread_stdin():
        raise typer.BadParameter(f"{UNREAD_STDIN}. Without it: </dev/null")
    run_or_exit(lambda: output_targets.check(wanted, where or ARTIFACTS_DIR), as_json=as_json)
    return wanted, sent, where


def _run_with_progress(
    request: Callable[..., RunResult], connection: ConnectionOptions, *, as_json: bool, raw: bool
) -> tuple[RunResult, job_output.OutputPrinter]:
    """Call `request` with callbacks that show its progress and output."""
    with rendering.Progress() as progress:
        output = job_output.OutputPrinter(progress.hidden_during, raw=raw)
        work = partial(
            request,
            status_callback=progress,
            progress_callback=progress.on_progress,
            output_callback=None if as_json else output,
            problem_callback=progress.problem,
            notice_callback=progress.notice,
        )
        result = run_or_exit(
            work, progress, connection, interrupted=INTERRUPTED_RUN, as_json=as_json
        )
        return result, output


@app.command(
    "logs",
    help="Print a job's output, stdout and stderr as they came; with --follow until it ends."
    "\n\n" + SETTINGS,
)
def logs_command(
    uuid: options.Uuid,
    *,
    follow: options.Follow = False,
    start: options.Start = 0,
    output: options.LogFile = None,
    raw: options.Raw = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    if start and output:
        raise typer.BadParameter("--from goes with stdout; a file is gone on with at its end")
    connection = ConnectionOptions(env_file, facilitator_url, hotkey_file, validator_hotkey)

    async def read(client: ComputeHordeClient) -> None:
        job = client.job(uuid)
        await job_output.copy(job, follow=follow, start=start, target=output, raw=raw)

    run_or_exit(lambda: connection.call(read), interrupted=job_output.interrupted_text(uuid))


@app.command(help="List your jobs, newest first.\n\n" + SETTINGS)
def jobs(
    *,
    page: options.Page = 1,
    limit: options.Limit = 20,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    connection = ConnectionOptions(env_file, facilitator_url, hotkey_file, validator_hotkey)

    async def ask(client: ComputeHordeClient) -> list[ComputeHordeJob]:
        return await client.get_jobs(page, limit)

    found = run_or_exit(lambda: connection.call(ask), as_json=as_json)
    if as_json:
        json_document.write([json_document.of_job(job) for job in found], "the list of jobs")
        return
    with stdio.writing("the list of jobs"):
        rendering.table(found)
        if not found:
            stdio.print_stderr("this hotkey has no jobs here yet")


@app.command(
    "job",
    help="Show one of your jobs; with --wait, wait for it first and end as `run` would.\n\n"
    + EXIT_CODES
    + "\n\n"
    + SETTINGS,
)
def job_command(
    uuid: options.Uuid,
    *,
    wait: options.Wait = False,
    outputs: options.Outputs = None,
    artifacts_dir: options.ArtifactsDir = None,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    raw: options.Raw = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    wanted = options.pairs(outputs, "-o")
    where = artifacts_dir or ARTIFACTS_DIR
    run_or_exit(lambda: output_targets.check(wanted, where), as_json=as_json)
    connection = ConnectionOptions(env_file, facilitator_url, hotkey_file, validator_hotkey)
    with rendering.Progress() if wait else nullcontext() as progress:

        async def ask(client: ComputeHordeClient) -> ComputeHordeJob:
            job = await client.get_job(uuid)
            if progress is not None:
                await job.wait(timeout, progress)
            await job.complete_output()
            return job

        job = run_or_exit(
            lambda: connection.call(ask, progress), progress, connection, as_json=as_json
        )
    if wait:
        output = job_output.OutputPrinter(raw=raw)
        finish(job, wanted, artifacts_dir, as_json=as_json, output=output)
    problem = save_outputs(job, wanted, artifacts_dir)
    if as_json:
        code = problem.code if problem else None
        json_document.write(json_document.of_job(job, exit_code=code, problem=problem))
    else:
        with stdio.writing("the job"):
            rendering.details(job)
    if problem:
        fail(problem)


@app.command(
    "cancel",
    help="Cancel one of your jobs. Exit code 0 when it has ended, whatever its final status."
    "\n\n" + SETTINGS,
)
def cancel_command(
    uuid: options.Uuid,
    *,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    connection = ConnectionOptions(env_file, facilitator_url, hotkey_file, validator_hotkey)
    work = partial(connection.call, lambda client: cancellation.cancel_and_wait(client, uuid))
    job = run_or_exit(work, interrupted=cancellation.interrupted_text(uuid))
    stop(Exit.CANCELLED if job.status.is_in_progress() else 0, cancellation.outcome_text(job))


def main() -> None:
    """Entry point of the command."""
    stdio.run_with_safe_streams(app)
