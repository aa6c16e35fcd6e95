"""Prints a finished job's output, saves its output files and exits with its exit code."""

import sys
from collections.abc import Iterable
from typing import NoReturn

import typer

from compute_horde.faults import Culprit
from compute_horde_sdk import input_output_files
from compute_horde_sdk.cli import exit_codes, job_output, json_document, rendering, stdio
from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.cli.json_document import CommandError
from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.local_files import SkippedInput
from compute_horde_sdk.run import ARTIFACTS_DIR, no_files_text


def finish(
    job: ComputeHordeJob,
    wanted: dict[str, str],
    artifacts_dir: str | None,
    *,
    as_json: bool,
    output: job_output.OutputPrinter,
    skipped: Iterable[SkippedInput] = (),
) -> NoReturn:
    """Print an ended job's output, save its files and exit with its exit code."""
    code = exit_codes.code(job)
    problem = save_outputs(job, wanted, artifacts_dir)
    if problem is not None:
        code = problem.code
    try:
        if as_json:
            json_document.write(
                json_document.of_job(job, exit_code=code, skipped=skipped, problem=problem)
            )
        elif job.result is not None:
            code = _print_rest(job.result, job.uuid, output, code, names_left_out=not wanted)
    except stdio.UnwritableError as exc:
        if code == 0 or not str(exc):
            raise
        stdio.discard_stdout()
        stdio.print_stderr(str(exc))
    error = "" if job.status.is_successful() else rendering.error_line(job)
    for text in (problem and problem.message, error):
        if text:
            stdio.print_stderr(text)
    raise typer.Exit(code)


def _print_rest(
    result: ComputeHordeJobResult,
    uuid: str,
    output: job_output.OutputPrinter,
    code: int,
    *,
    names_left_out: bool,
) -> int:
    """Print what was not printed while the job ran, and what of its output is missing.

    With -o only the missing files that were asked for are named, and elsewhere. Returns the exit
    code, which is `code` unless a file or pipe did not get the job's stdout.
    """
    output.finish(result)
    for line in rendering.left_out(result) if names_left_out else ():
        stdio.print_stderr(line)
    for line in rendering.truncated_output(result, uuid):
        stdio.print_stderr(line)
    is_lost = code == 0 and "stdout" in result.not_text and not sys.stdout.isatty()
    return Exit.OUTPUT_MISSING if is_lost else code


def save_outputs(
    job: ComputeHordeJob, wanted: dict[str, str], artifacts_dir: str | None
) -> CommandError | None:
    """Save the files requested with -o; returns the problem if not all could be saved.

    A job that did not complete has no files; the exit code is then the job's own.
    """
    if not wanted:
        return None
    if job.status.is_in_progress():
        text = (
            f"job {job.uuid} has not ended yet ({job.status.value}), and its files come back when "
            f"it has: wait for it with --wait"
        )
        return CommandError(
            Exit.OUTPUT_MISSING, text, "not_ended", next_step="wait for the job with --wait"
        )
    if not job.status.is_successful():
        text = no_files_text(job.uuid, job.status)
        return CommandError(exit_codes.code(job), text, "not_completed")
    result = job.result or ComputeHordeJobResult("", "", {})
    try:
        input_output_files.save_outputs(
            result,
            wanted,
            artifacts_dir or ARTIFACTS_DIR,
            lambda path: stdio.print_stderr(f"saved {path}"),
        )
    except ComputeHordeError as exc:
        return _problem(Exit.OUTPUT_MISSING, exc, "have the job leave the file that -o names")
    except OSError as exc:
        again = f"name another local path, and fetch it with: compute-horde job {job.uuid} -o …"
        return _problem(Exit.OUTPUT_UNWRITTEN, exc, again)
    return None


def _problem(code: Exit, exc: Exception, next_step: str) -> CommandError:
    return CommandError(code, str(exc), type(exc).__name__, str(Culprit.USER), next_step)
