"""The command `compute-horde`: run jobs and look at them from a shell."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from compute_horde_sdk import cancel, console, exits, folders, printing, streams
from compute_horde_sdk.client import ComputeHordeClient
from compute_horde_sdk.endings import explained, stop
from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.exits import EXIT_CODES, Exit
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.run import (
    ARTIFACTS_DIR,
    NAMESPACE,
    run,
)
from compute_horde_sdk.spec import DOWNLOAD_SECONDS, EXECUTION_SECONDS, UPLOAD_SECONDS
from compute_horde_sdk.whom import EnvFile, Hotkey, Url, Validator, Whom

SETTINGS = """
Whom to ask, and as whom, comes from the options, else from --env-file, else from the environment:
FACILITATOR_URL, USER_HOTKEY_FILE (an unencrypted hotkey file), VALIDATOR_HOTKEY and EXECUTOR_CLASS.
The local network writes such a file: --env-file .localnet/env
"""

HANDED_IN = "interrupted; a job that was handed in goes on. See it later with: compute-horde jobs"

app = typer.Typer(
    help="Run container jobs on ComputeHorde, and look at them." + "\n\n" + SETTINGS,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


Words = list[str] | None
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Outputs = Annotated[
    Words,
    typer.Option(
        "-o",
        "--output",
        metavar="REMOTE:LOCAL",
        help="Bring a file of the artifacts directory back, or all of it (.:LOCAL). Repeatable.",
    ),
]
ArtifactsDir = Annotated[
    str | None,
    typer.Option(help=f"Where the job leaves files to bring back; {ARTIFACTS_DIR} if -o is given."),
]
Image = Annotated[str, typer.Argument(help="Docker image.")]
Args = Annotated[Words, typer.Argument(help="Arguments of the job.")]
Env = Annotated[
    Words, typer.Option("-e", "--env", metavar="KEY=VALUE", help="Environment. Repeatable.")
]
Inputs = Annotated[
    Words,
    typer.Option(
        "-i",
        "--input",
        metavar="LOCAL:REMOTE",
        help="A small local file or folder, or a URL, and its path below /volume/. Repeatable.",
    ),
]
Class = Annotated[
    str | None, typer.Option("--class", help="Executor class, as always_on.llm.a6000.")
]
Namespace = Annotated[str, typer.Option(help="Whose job it is, as SN12.0.")]
Trusted = Annotated[bool, typer.Option("--trusted", help="On the validator's own miner.")]
DownloadLimit = Annotated[int, typer.Option(help="Seconds for inputs.")]
ExecutionLimit = Annotated[int, typer.Option(help="Seconds to run.")]
UploadLimit = Annotated[int, typer.Option(help="Seconds for uploads.")]
Timeout = Annotated[
    float | None, typer.Option(help="Seconds to wait here; the job then goes on alone.")
]
Page = Annotated[int, typer.Option(min=1, help="Which page.")]
Limit = Annotated[int, typer.Option(min=1, max=256, help="Jobs on a page.")]
Uuid = Annotated[str, typer.Argument(help="The job's uuid, as `run` or `jobs` print it.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job ends.")]
Start = Annotated[
    int, typer.Option("--from", min=0, metavar="CURSOR", help="Leave out so many bytes.")
]
LogFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Append to this file, which may have the beginning."),
]
Wait = Annotated[bool, typer.Option("-w", "--wait", help="Wait until it ends.")]


@app.command(
    "run",
    help="Run one job and wait for it: its output here, status lines on stderr. What follows "
    "IMAGE belongs to the job.\n\n" + EXIT_CODES + "\n\n" + SETTINGS,
    context_settings={"allow_interspersed_args": False},
)
def run_command(
    image: Image,
    args: Args = None,
    *,
    env: Env = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    artifacts_dir: ArtifactsDir = None,
    executor_class: Class = None,
    namespace: Namespace = NAMESPACE,
    trusted: Trusted = False,
    download_limit: DownloadLimit = DOWNLOAD_SECONDS,
    execution_limit: ExecutionLimit = EXECUTION_SECONDS,
    upload_limit: UploadLimit = UPLOAD_SECONDS,
    timeout: Timeout = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    wanted = _pairs(outputs, ":")
    where = artifacts_dir or (ARTIFACTS_DIR if wanted else None)
    whom = Whom(env_file, facilitator_url, hotkey_file, validator_hotkey)
    request = partial(
        run,
        image,
        args or (),
        env=_pairs(env, "=", first=True),
        inputs=_pairs(inputs, ":"),
        artifacts_dir=where,
        executor_class=executor_class,
        namespace=namespace,
        trusted=trusted,
        download_time_limit=download_limit,
        execution_time_limit=execution_limit,
        upload_time_limit=upload_limit,
        timeout=timeout,
        check=False,
        **asdict(whom),
    )
    with console.Progress() as progress:
        output = printing.Output(progress.aside)
        news = partial(request, status_callback=progress, progress_callback=progress.made)
        watched = news if as_json else partial(news, output_callback=output)
        result = explained(watched, progress, whom, interrupted=HANDED_IN)
    _finish(result.job, wanted, where, as_json=as_json, output=output)


@app.command(
    "logs",
    help="Print what a job printed, stdout and stderr as they came; with --follow until it ends."
    "\n\n" + SETTINGS,
)
def logs_command(
    uuid: Uuid,
    *,
    follow: Follow = False,
    start: Start = 0,
    output: LogFile = None,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    if start and output:
        raise typer.BadParameter("--from goes with stdout; a file is gone on with at its end")
    whom = Whom(env_file, facilitator_url, hotkey_file, validator_hotkey)

    async def read(client: ComputeHordeClient) -> None:
        await printing.copy(client.job(uuid), follow=follow, start=start, target=output)

    explained(lambda: whom.asked(read), interrupted=printing.left(uuid))


@app.command(help="List your jobs, newest first.\n\n" + SETTINGS)
def jobs(
    *,
    page: Page = 1,
    limit: Limit = 20,
    as_json: AsJson = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    whom = Whom(env_file, facilitator_url, hotkey_file, validator_hotkey)

    async def ask(client: ComputeHordeClient) -> list[ComputeHordeJob]:
        return await client.get_jobs(page, limit)

    found = explained(lambda: whom.asked(ask))
    with streams.writing("the list of jobs"):
        if as_json:
            print(json.dumps([console.as_json(job) for job in found]))
        else:
            console.table(found)


@app.command(
    "job",
    help="Show one of your jobs; with --wait, wait for it first and end as `run` would.\n\n"
    + EXIT_CODES
    + "\n\n"
    + SETTINGS,
)
def job_command(
    uuid: Uuid,
    *,
    wait: Wait = False,
    outputs: Outputs = None,
    artifacts_dir: ArtifactsDir = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    wanted = _pairs(outputs, ":")
    whom = Whom(env_file, facilitator_url, hotkey_file, validator_hotkey)
    with console.Progress() if wait else nullcontext() as progress:

        async def ask(client: ComputeHordeClient) -> ComputeHordeJob:
            job = await client.get_job(uuid)
            if progress is not None:
                await job.wait(timeout, progress)
            return job

        job = explained(lambda: whom.asked(ask), progress, whom)
    if wait:
        _finish(job, wanted, artifacts_dir, as_json=as_json)
    with streams.writing("the job"):
        if as_json:
            print(json.dumps(console.as_json(job)))
        else:
            console.details(job)
    _bring(job, wanted, artifacts_dir)


@app.command(
    "cancel",
    help="Have one of your jobs ended now. Exit code 0 when it has ended, whatever it came to."
    "\n\n" + SETTINGS,
)
def cancel_command(
    uuid: Uuid,
    *,
    env_file: EnvFile = None,
    facilitator_url: Url = None,
    hotkey_file: Hotkey = None,
    validator_hotkey: Validator = None,
) -> None:
    whom = Whom(env_file, facilitator_url, hotkey_file, validator_hotkey)
    work = partial(whom.asked, lambda client: cancel.cancelled(client, uuid))
    job = explained(work, interrupted=cancel.left(uuid))
    stop(Exit.CANCELLED if job.status.is_in_progress() else 0, cancel.told(job))


def _pairs(words: Words, mark: str, *, first: bool = False) -> dict[str, str]:
    """Both sides of each option; a URL before the last colon keeps its own."""
    pairs: dict[str, str] = {}
    for word in words or ():
        left, found, right = word.partition(mark) if first else word.rpartition(mark)
        if not (found and left and (right or first)):
            raise typer.BadParameter(f"{word!r} is not two parts with {mark!r} between them")
        if left in pairs:
            raise typer.BadParameter(f"{left!r} is given twice")
        pairs[left] = right
    return pairs


def _finish(
    job: ComputeHordeJob,
    wanted: dict[str, str],
    artifacts_dir: str | None,
    *,
    as_json: bool,
    output: printing.Output | None = None,
) -> NoReturn:
    """Pass on an ended job's output, artifacts and exit code."""
    code = exits.code(job)
    if as_json:
        with streams.writing("the job"):
            print(json.dumps(console.as_json(job) | {"exit_code": code}), flush=True)
    elif job.result is not None:
        (output or printing.Output()).finish(job.result)
    if not job.status.is_successful():
        stop(code, console.error_line(job))
    _bring(job, wanted, artifacts_dir)
    raise typer.Exit(code)


def _bring(job: ComputeHordeJob, wanted: dict[str, str], artifacts_dir: str | None) -> None:
    if not wanted:
        return
    artifacts = job.result.artifacts if job.result else {}
    try:
        saved = folders.save(artifacts, wanted, artifacts_dir or ARTIFACTS_DIR)
    except (ComputeHordeError, OSError) as exc:
        stop(Exit.OUTPUT_MISSING, str(exc))
    for path in saved:
        streams.say(f"saved {path}")


def main() -> None:
    """Entry point of the command."""
    streams.served(app)
