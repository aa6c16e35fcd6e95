"""What the command line shows: status lines while it waits, jobs as tables and as JSON."""

import base64
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from compute_horde.faults import of_failure, of_horde, of_rejection
from compute_horde.vocabulary import FailureReason, HordeReason, Party, RejectionReason, Stage
from compute_horde_sdk import streams
from compute_horde_sdk.jobs import ComputeHordeJob
from compute_horde_sdk.phases import Phase
from compute_horde_sdk.statuses import (
    ComputeHordeHordeFailure,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    JobError,
    JobProgress,
)

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

LOOK_SECONDS = 2.0

WORDS = {
    "sent": "handed to the facilitator",
    "received": "received by the validator, looking for a machine",
    "accepted": "accepted by a miner, preparing a machine",
    "executor_ready": "machine and image ready, fetching inputs",
    "volumes_ready": "inputs there, running",
    "streaming_ready": "serving",
    "execution_done": "done running, sending results",
    "completed": "completed",
    "rejected": "rejected",
    "failed": "failed",
    "horde_failed": "failed by the network",
    "cancelled": "cancelled",
}


def printable(text: str) -> str:
    """`text` without what would steer the terminal."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


class _Moving:
    """The phase as rich shows it, again and again."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(printable(self._phase.line()))


class Progress:
    """A line for each status on stderr; between them how far it is.

    On a terminal that line changes, elsewhere there is a new one now and then.
    """

    def __init__(self) -> None:
        self._spinner: Status | None = None
        self._phase = Phase("handing the job in")
        self._over = threading.Event()
        self.uuid: str | None = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console

            self._spinner = Console(stderr=True).status(_Moving(self._phase))
            self._spinner.start()
        else:
            threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the terminal to others."""
        self._over.set()
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def __call__(self, job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        """Show a status the job has entered."""
        if self.uuid is None:
            self.uuid = job.uuid
            self._line(f"job {job.uuid}")
        status = entry.status.value
        words = WORDS[status]
        # By the facilitator's clock: several statuses may arrive here at once.
        passed = (entry.created_at - job.status_history[0].created_at).total_seconds()
        self._line(f"+{passed:8.3f} s  {status:<16} {words}")
        self._phase.enter(status, words)

    def made(self, job: ComputeHordeJob, progress: JobProgress) -> None:
        """Show how much of something is there."""
        self._phase.made(progress)

    @contextmanager
    def aside(self, file: TextIO, text: str) -> Iterator[None]:
        """Out of the way while `text` is written to the same terminal, and until its line ends."""
        spinner = self._spinner if file.isatty() else None
        if spinner is not None:
            spinner.stop()
        yield
        if spinner is not None and text.endswith("\n"):
            spinner.start()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if line := self._phase.news():
                self._line(f"{'':12}  {'':<16} {printable(line)}")

    def _line(self, text: str) -> None:
        if self._spinner is not None:
            self._spinner.console.print(text, highlight=False, markup=False)
        else:
            streams.say(text)


def as_json(job: ComputeHordeJob) -> dict[str, Any]:
    """All there is to know about a job, for programs."""
    result = job.result
    return {
        "uuid": job.uuid,
        "status": job.status.value,
        "docker_image": job.docker_image,
        "executor_class": job.executor_class,
        "error": _error(job),
        "stdout": result.stdout if result else None,
        "stderr": result.stderr if result else None,
        "artifacts": {
            path: base64.b64encode(data).decode()
            for path, data in (result.artifacts if result else {}).items()
        },
        "upload_results": {
            path: answer.model_dump()
            for path, answer in (result.upload_results if result else {}).items()
        },
        "statuses": [
            {"status": entry.status.value, "created_at": entry.created_at.isoformat()}
            for entry in job.status_history
        ],
    }


def _error(job: ComputeHordeJob) -> dict[str, Any] | None:
    error = job.error
    if error is None:
        return None
    return {"kind": job.status.value, **vars(error)}


def error_line(job: ComputeHordeJob) -> str:
    """What went wrong, and by whom, in a sentence."""
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
        f" [{_whose_fault(error)}]"
    )


def _used(job: ComputeHordeJob) -> str:
    """For how long a cancelled job had a machine."""
    at = {entry.status: entry.created_at for entry in job.status_history}
    ended, accepted = (
        at.get(ComputeHordeJobStatus.CANCELLED),
        at.get(ComputeHordeJobStatus.ACCEPTED),
    )
    if ended is None or accepted is None:
        return " before a machine was found for it"
    return f"; it had a machine for {(ended - accepted).total_seconds():.1f} s"


def _whose_fault(error: JobError) -> str:
    """Who is to blame, by the rules that validators go by, and what to do now."""
    match error:
        case ComputeHordeJobFailure():
            fault = of_failure(FailureReason(error.reason), Stage(error.stage or ""))
        case ComputeHordeHordeFailure():
            reporter = Party(error.reported_by)
            fault = of_horde(HordeReason(error.reason), reporter, error.context)
        case ComputeHordeJobRejection():
            fault = of_rejection(RejectionReason(error.reason), Party(error.rejected_by or ""))
    return f"fault: {fault.blamed}; next step: {fault.advice}"


def table(jobs: Iterable[ComputeHordeJob]) -> None:
    """One line per job, newest as the facilitator orders them."""
    rows = [
        (
            job.uuid,
            job.status.value,
            f"{job.status_history[0].created_at:%Y-%m-%d %H:%M:%S}",
            job.executor_class,
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
    """One job at length."""
    print(f"job       {job.uuid}")
    print(f"image     {printable(job.docker_image)}")
    print(f"class     {job.executor_class}")
    print(f"status    {job.status.value}")
    began = job.status_history[0].created_at
    for entry in job.status_history:
        passed = (entry.created_at - began).total_seconds()
        print(f"  {entry.created_at:%Y-%m-%d %H:%M:%S}  +{passed:8.3f} s  {entry.status.value}")
    if not job.status.is_in_progress() and not job.status.is_successful():
        print(f"error     {error_line(job)}")
    if job.result is None:
        return
    for name, text in (("stdout", job.result.stdout), ("stderr", job.result.stderr)):
        if text:
            print(f"{name}\n{printable(text).rstrip()}")
    for path, data in sorted(job.result.artifacts.items()):
        print(f"artifact  {printable(path)}  {len(data):,} bytes")
