"""How a command ends: errors in a line on stderr and as exit code, and Ctrl-C."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

import typer

from compute_horde_sdk import cancel, console, exits, streams
from compute_horde_sdk.errors import ComputeHordeError, ComputeHordeJobTimeoutError
from compute_horde_sdk.exits import Exit
from compute_horde_sdk.whom import Whom

T = TypeVar("T")


def explained(
    work: Callable[[], T],
    progress: console.Progress | None = None,
    whom: Whom | None = None,
    *,
    interrupted: str = "interrupted",
) -> T:
    """What `work` gives; its errors in a line on stderr and as exit code.

    `interrupted` is said after Ctrl-C, unless `progress` knows a job that goes on.
    """
    try:
        return work()
    except KeyboardInterrupt:
        uuid = progress.uuid if progress else None
        if progress and whom and uuid:
            _cancel_if_wanted(progress, whom, uuid)
            interrupted = (
                f"interrupted; job {uuid} goes on. See it later with: compute-horde job {uuid} "
                f"--wait; cancel it with: compute-horde cancel {uuid}"
            )
        _stop_showing(progress)
        stop(Exit.INTERRUPTED, f"\n{interrupted}")
    except ComputeHordeJobTimeoutError as exc:
        _stop_showing(progress)
        stop(Exit.TIMED_OUT, str(exc))
    except streams.Unwritable as exc:
        _stop_showing(progress)
        if progress is None or not str(exc):
            raise
        again = f"see it with: compute-horde logs {progress.uuid}"
        raise streams.Unwritable(f"{exc}; {again}") from exc
    except (ComputeHordeError, ValueError, OSError) as exc:
        _stop_showing(progress)
        stop(Exit.NOT_RUN, str(exc))


def stop(code: int, message: str) -> NoReturn:
    """End the command."""
    streams.say(console.printable(message))
    raise typer.Exit(code)


def _stop_showing(progress: console.Progress | None) -> None:
    """Whole lines from now on: what moves on a terminal breaks them."""
    if progress is not None:
        progress.stop()


def _cancel_if_wanted(progress: console.Progress, whom: Whom, uuid: str) -> None:
    """Ask whoever sits at the terminal; ends here when the job is to end, too."""
    progress.stop()
    if not cancel.is_wanted(uuid):
        return
    streams.say(f"\ncancelling job {uuid}")
    job = explained(
        lambda: whom.asked(lambda client: cancel.cancelled(client, uuid)),
        interrupted=cancel.left(uuid),
    )
    stop(Exit.CANCELLED if job.status.is_in_progress() else exits.code(job), cancel.told(job))
