"""Output of the command line: status lines while waiting, jobs in full and as tables."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from compute_horde.protocol.left_out_notes import NOTED
from compute_horde.protocol.truncation import RAW_BYTES
from compute_horde_sdk.cli import stdio
from compute_horde_sdk.cli.progress import Phase
from compute_horde_sdk.cli.terminal_filter import printable
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.job_status import (
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobProgress,
)
from compute_horde_sdk.jobs import ComputeHordeJob

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

REFRESH_SECONDS = 2.0

WORDS = {
    "sent": "submitted to the facilitator",
    "received": "received by the validator, looking for a machine",
    "accepted": "accepted by a miner, preparing a machine",
    "executor_ready": "machine ready, fetching image and inputs",
    "volumes_ready": "image and inputs ready, running",
    "streaming_ready": "serving",
    "execution_done": "done running, sending results",
    "completed": "completed",
    "rejected": "rejected",
    "failed": "failed",
    "horde_failed": "failed by the network",
    "cancelled": "cancelled",
}


class _LivePhase:
    """Renders the present progress line whenever rich refreshes its display."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(printable(self._phase.line()))


class Progress:
    """Prints a line for each status on stderr, and the progress between them.

    The progress is one changing line on a terminal, and occasional new lines elsewhere.
    """

    def __init__(self) -> None:
        self._spinner: Status | None = None
        self._phase = Phase("submitting the job")
        self._stopped = threading.Event()
        self.uuid: str | None = None
        self.status = ""

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console

            self._spinner = Console(stderr=True).status(_LivePhase(self._phase))
            self._spinner.start()
        else:
            threading.Thread(target=self._print_changes, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the progress line from the terminal and print no more of it."""
        self._stopped.set()
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def __call__(self, job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        """Print a status that the job has entered."""
        if self.uuid is None:
            self.uuid = job.uuid
            self._line(f"job {job.uuid}")
        status = self.status = entry.status.value
        words = WORDS[status]
        # By the facilitator's clock, since several statuses may arrive at once.
        passed = (entry.created_at - job.status_history[0].created_at).total_seconds()
        self._line(f"+{passed:8.3f} s  {status:<16} {words}")
        self._phase.enter(status, words)

    def on_progress(self, job: ComputeHordeJob, progress: JobProgress) -> None:
        """Show download progress."""
        self._phase.on_progress(progress)

    def problem(self, problem: str | None) -> None:
        """Show that a request is being retried; None when it works again."""
        self._phase.on_problem(problem)

    def notice(self, text: str) -> None:
        """Print a permanent line."""
        self._line(printable(text))

    @contextmanager
    def hidden_during(self, file: TextIO, text: str) -> Iterator[None]:
        """Hide the progress line while `text` is written to the same terminal.

        It stays hidden until a text ends with a newline.
        """
        spinner = self._spinner if file.isatty() else None
        if spinner is not None:
            spinner.stop()
        yield
        if spinner is not None and text.endswith("\n"):
            spinner.start()

    def _print_changes(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            if line := self._phase.next_line():
                self._line(f"{'':12}  {'':<16} {printable(line)}")

    def _line(self, text: str) -> None:
        if self._spinner is not None:
            self._spinner.console.print(text, highlight=False, markup=False)
        else:
            stdio.print_stderr(text)


def left_out(result: ComputeHordeJobResult) -> list[str]:
    """A line for each artifact that did not come back, up to `NOTED` of them."""
    lines = [f"left out: {one}" for one in result.left_out[:NOTED]]
    if (more := len(result.left_out) - NOTED) > 0:
        lines.append(f"left out: {more} more; --json names them")
    return [printable(line) for line in lines]


def truncated_output(result: ComputeHordeJobResult, uuid: str) -> list[str]:
    """A line for each stream whose output in the result is incomplete."""
    lines = []
    for stream, total in result.truncated.items():
        if stream in result.not_text:
            lines.append(
                f"{stream} is not as the job printed it: its {total:,} bytes are not UTF-8, and "
                f"more than the {RAW_BYTES:,} that come back as they are; U+FFFD stands there for "
                "others. Have the job write them to a file, and get that with -o"
            )
        else:
            lines.append(
                f"the middle of {stream} is left out: the job printed {total:,} bytes to it; what "
                f"is kept of them is shown by: compute-horde logs {uuid}"
            )
    return [printable(line) for line in lines]


def error_line(job: ComputeHordeJob) -> str:
    """One line about how a job ended: error, reporter, party at fault, next step."""
    error = job.error
    if error is None:
        return f"job {job.uuid} ended {job.status.value}, without a reason"
    stage = getattr(error, "stage", None)
    if job.status is ComputeHordeJobStatus.CANCELLED:
        return f"job {job.uuid} was cancelled{_used(job)}"
    party = getattr(error, "reported_by", None) or getattr(error, "rejected_by", None)
    where = f" during {stage}" if stage else ""
    who = f" (says the {party})" if party else ""
    return printable(
        f"job {job.uuid} ended {job.status.value}{where}{who}: {error.reason}: {error.message}"
        f"{_whose_fault(job)}"
    )


def _whose_fault(job: ComputeHordeJob) -> str:
    fault = job.fault
    return f" [fault: {fault.blamed}; next step: {fault.advice}]" if fault else ""


def _used(job: ComputeHordeJob) -> str:
    """The end of a sentence: how long a cancelled job occupied a machine."""
    at = {entry.status: entry.created_at for entry in job.status_history}
    ended, accepted = (
        at.get(ComputeHordeJobStatus.CANCELLED),
        at.get(ComputeHordeJobStatus.ACCEPTED),
    )
    if ended is None or accepted is None:
        return " before a machine was found for it"
    return f"; it had a machine for {(ended - accepted).total_seconds():.1f} s"


def table(jobs: Iterable[ComputeHordeJob]) -> None:
    """Print one line per job, in the facilitator's order."""
    rows = [
        (
            job.uuid,
            job.status.value,
            f"{job.status_history[0].created_at:%Y-%m-%d %H:%M:%S}",
            printable(job.executor_class),
            printable(job.docker_image),
        )
        for job in jobs
    ]
    head = ("UUID", "STATUS", "CREATED", "CLASS", "IMAGE")
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    pretty = Table(*head, box=None)
    for row in rows:
        pretty.add_row(*map(Text, row))
    Console().print(pretty)


def details(job: ComputeHordeJob) -> None:
    """Print one job in full."""
    print(f"job       {job.uuid}")
    print(f"image     {printable(job.docker_image)}")
    print(f"class     {printable(job.executor_class)}")
    print(f"status    {job.status.value}")
    began = job.status_history[0].created_at
    for entry in job.status_history:
        passed = (entry.created_at - began).total_seconds()
        print(f"  {entry.created_at:%Y-%m-%d %H:%M:%S}  +{passed:8.3f} s  {entry.status.value}")
    if not job.status.is_in_progress() and not job.status.is_successful():
        print(f"error     {error_line(job)}")
    if job.result is not None:
        _print_result(job.result, job.uuid)


def _print_result(result: ComputeHordeJobResult, uuid: str) -> None:
    for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        if text:
            print(f"{name}\n{printable(text).rstrip()}")
    for path, data in sorted(result.artifacts.items()):
        print(f"artifact  {printable(path)}  {len(data):,} bytes")
    for one in result.left_out:
        print(f"left out  {printable(str(one))}")
    for line in truncated_output(result, uuid):
        print(f"truncated {line}")
