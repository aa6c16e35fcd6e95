"""How a command ends: errors and Ctrl-C become a line on stderr and an exit code."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from compute_horde.faults import Culprit
from compute_horde_sdk.cli import (
    cancellation,
    exit_codes,
    json_document,
    rendering,
    signals,
    stdio,
)
from compute_horde_sdk.cli.connection_options import ConnectionOptions
from compute_horde_sdk.cli.exit_codes import Exit
from compute_horde_sdk.cli.json_document import CHANGE_IT, CommandError
from compute_horde_sdk.errors import ComputeHordeError, ComputeHordeJobTimeoutError

T = TypeVar("T")
# Typer has its own copy of Click, or uses that of the environment.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def run_or_exit(
    work: Callable[[], T],
    progress: rendering.Progress | None = None,
    connection: ConnectionOptions | None = None,
    *,
    interrupted: str = "interrupted",
    as_json: bool = False,
) -> T:
    """Return the result of `work`; on an error, print a line on stderr and exit.

    `interrupted` is printed after Ctrl-C, unless `progress` has a job that continues: then that
    job is named. With `as_json` the error is also printed as an object on stdout.
    """

    def exit_message(why: str) -> str:
        text = why != signals.NOBODY_READS and interrupted.replace("interrupted", why, 1)
        return _job_continues(progress, why) or text or ""

    def terminated(text: str) -> str:
        return json.dumps(json_document.of_error(_stopped(Exit.TERMINATED, text, progress)))

    try:
        with signals.exit_on_signals(exit_message, terminated if as_json else None):
            return work()
    except KeyboardInterrupt:
        _interrupted(progress, connection, interrupted, as_json=as_json)
    except ComputeHordeJobTimeoutError as exc:
        _stop_progress(progress)
        fail(_stopped(Exit.TIMED_OUT, str(exc), progress, exc.job_uuid), as_json=as_json)
    except stdio.UnwritableError as exc:
        _unwritable(exc, progress)
    except (ComputeHordeError, ValueError, OSError) as exc:
        _stop_progress(progress)
        error = json_document.not_run(exc)
        if progress is not None and progress.uuid:
            error = replace(error, uuid=progress.uuid, status=progress.status)
        fail(error, as_json=as_json)


def _stopped(
    code: Exit, text: str, progress: rendering.Progress | None, uuid: str | None = None
) -> CommandError:
    """The error of a command that no longer waits for its job."""
    uuid = uuid or (progress.uuid if progress else None)
    status = progress.status if progress and progress.uuid else None
    next_step = f"compute-horde job {uuid} --wait" if uuid else "compute-horde jobs"
    reason = code.name.lower()
    return CommandError(code, text, reason, next_step=next_step, uuid=uuid, status=status)


def _interrupted(
    progress: rendering.Progress | None,
    connection: ConnectionOptions | None,
    message: str,
    *,
    as_json: bool,
) -> NoReturn:
    """Exit after Ctrl-C, maybe cancelling the job."""
    if progress and connection and progress.uuid:
        _cancel_if_confirmed(progress, connection, progress.uuid, as_json=as_json)
    _stop_progress(progress)
    text = _job_continues(progress, "interrupted") or message
    stdio.print_stderr("")
    fail(_stopped(Exit.INTERRUPTED, text, progress), as_json=as_json)


def _unwritable(exc: stdio.UnwritableError, progress: rendering.Progress | None) -> NoReturn:
    """Exit because the output cannot be written; names the job that continues."""
    _stop_progress(progress)
    if progress is None or not progress.uuid:
        raise exc
    if not str(exc):
        stop(Exit.OUTPUT_UNWRITTEN, _job_continues(progress, signals.NOBODY_READS))
    again = f"see it with: compute-horde logs {progress.uuid}"
    raise stdio.UnwritableError(f"{exc}; {again}") from exc


def _job_continues(progress: rendering.Progress | None, word: str) -> str:
    """Message about a job that continues without this command; empty before there is one."""
    if progress is None or not progress.uuid:
        return ""
    uuid = progress.uuid
    return (
        f"{word}; job {uuid} goes on (its last status: {progress.status}). See it later with: "
        f"compute-horde job {uuid} --wait; cancel it with: compute-horde cancel {uuid}"
    )


def fail(error: CommandError, *, as_json: bool = False) -> NoReturn:
    """Print `error` on stderr, as JSON also on stdout, and exit with its code."""
    stdio.print_stderr(error.message)
    if as_json:
        json_document.write(json_document.of_error(error), "the error")
    raise typer.Exit(error.code)


def stop(code: int, message: str) -> NoReturn:
    """Print `message` on stderr and exit with `code`."""
    stdio.print_stderr(message)
    raise typer.Exit(code)


def _stop_progress(progress: rendering.Progress | None) -> None:
    """Stop the progress display, so that it does not mix with the lines printed from now on."""
    if progress is not None:
        progress.stop()


def _cancel_if_confirmed(
    progress: rendering.Progress, connection: ConnectionOptions, uuid: str, *, as_json: bool
) -> None:
    """Ask on the terminal; if confirmed, cancel the job and exit."""
    progress.stop()
    if not cancellation.confirm_cancel(uuid):
        return
    stdio.print_stderr(f"\ncancelling job {uuid}")
    job = run_or_exit(
        lambda: connection.call(lambda client: cancellation.cancel_and_wait(client, uuid)),
        interrupted=cancellation.interrupted_text(uuid),
        as_json=as_json,
    )
    code = Exit.CANCELLED if job.status.is_in_progress() else exit_codes.code(job)
    if as_json:
        json_document.write(json_document.of_job(job, exit_code=code))
    stop(code, cancellation.outcome_text(job))


class CommandGroup(TyperGroup):
    """The commands; wrong options end them as every other error that keeps a job from running."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a usage error is also printed as JSON if --json is given."""
        words = list(ctx.args)
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as exc:
            _report_usage(exc, as_json="--json" in words)

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the program and exit; usage errors before the command end it the same way."""
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except USAGE_ERROR as exc:
            exc.show()  # type: ignore[attr-defined]
            code = Exit.NOT_RUN
        sys.exit(code or 0)


def _report_usage(exc: Any, *, as_json: bool) -> NoReturn:
    exc.show()
    if as_json:
        error = CommandError(
            Exit.NOT_RUN, exc.format_message(), "wrong_options", str(Culprit.USER), CHANGE_IT
        )
        json_document.write(json_document.of_error(error), "the error")
    raise typer.Exit(Exit.NOT_RUN)
