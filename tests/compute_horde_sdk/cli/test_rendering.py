"""The lines about a job: while it is awaited, of its end, its losses, in full and as a table."""

import io
import re
import sys
import threading
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta

import pytest

from compute_horde.protocol.left_out import LeftOut
from compute_horde.protocol.left_out_notes import NOTED
from compute_horde_sdk.cli import rendering
from compute_horde_sdk.client import EXAMPLE_UUID
from compute_horde_sdk.job_result import ComputeHordeJobResult
from compute_horde_sdk.job_status import ComputeHordeJobStatus, JobProgress, entry_from
from compute_horde_sdk.jobs import ComputeHordeJob

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ESCAPE = "\x1b[31m"
# A progress line hides the cursor while it is shown.
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def job_with(*statuses, result=None, **metadata):
    """A job that entered a status every 1.5 s; the last one has the metadata."""
    history = [
        entry_from(
            {
                "status": status,
                "created_at": BEGAN + timedelta(seconds=1.5 * number),
                "metadata": metadata if number == len(statuses) - 1 else None,
            }
        )
        for number, status in enumerate(statuses)
    ]
    job = ComputeHordeJob(None, EXAMPLE_UUID, history, result)
    job.docker_image, job.executor_class = "busybox", "always_on.gpu-24gb"
    return job


class Terminal(io.StringIO):
    def isatty(self):
        return True


@contextmanager
def terminal():
    """Stderr as a terminal, whose text is kept."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(Terminal()) as file:
        patch.setenv("TERM", "xterm")
        yield file


def test_every_status_has_words():
    assert set(rendering.WORDS) == {str(status) for status in ComputeHordeJobStatus}


def test_statuses_are_lines_with_the_facilitator_s_time(capsys):
    job = job_with("sent", "received")
    progress = rendering.Progress()
    for entry in job.status_history:
        progress(job, entry)
    first, *statuses = capsys.readouterr().err.splitlines()
    assert first == f"job {EXAMPLE_UUID}"
    assert [line.split()[:4] for line in statuses] == [
        ["+", "0.000", "s", "sent"],
        ["+", "1.500", "s", "received"],
    ]
    assert (progress.uuid, progress.status) == (EXAMPLE_UUID, "received")


def test_without_a_terminal_download_progress_is_new_lines(monkeypatch):
    monkeypatch.setattr(rendering, "REFRESH_SECONDS", 0.01)
    printed = SignallingText()
    monkeypatch.setattr(sys, "stderr", printed)
    with rendering.Progress() as progress:
        progress.on_progress(job_with("sent"), JobProgress("d", f"an{ESCAPE} image", 10**6, 10**7))
        assert printed.wait_for_line()
    assert "fetching an" in printed.getvalue()
    assert "1 of 10 MB" in printed.getvalue()
    assert "\x1b" not in printed.getvalue()


class SignallingText(io.StringIO):
    """A text that can be awaited from another thread."""

    def __init__(self):
        super().__init__()
        self._written = threading.Event()

    def write(self, text):
        super().write(text)
        if "\n" in text:
            self._written.set()
        return len(text)

    def wait_for_line(self):
        return self._written.wait(10)


def test_on_a_terminal_the_progress_is_one_changing_line():
    with terminal() as file:
        with rendering.Progress() as progress:
            progress.notice(f"kept {ESCAPE}line [bold]")
            assert "submitting the job" in file.getvalue()
        text = file.getvalue()
        progress.stop()
        assert file.getvalue() == text
    # Markup and control characters of others mean nothing.
    assert "[bold]" in text
    assert ESCAPE not in text


def test_the_progress_line_is_hidden_until_a_text_ends_with_a_newline():
    with terminal() as file, rendering.Progress() as progress:
        for text, is_shown in (("half", False), ("line\n", True)):
            with progress.hidden_during(file, text):
                file.truncate(file.seek(0))
            assert (HIDE_CURSOR in file.getvalue()) is is_shown
        file.truncate(file.seek(0))
        # Text that goes elsewhere does not disturb it.
        with progress.hidden_during(io.StringIO(), "half"):
            assert SHOW_CURSOR not in file.getvalue()


def left_out(count):
    losses = [LeftOut(name=f"{ESCAPE}f{n}", size=1000, why="too big") for n in range(count)]
    return rendering.left_out(ComputeHordeJobResult("", "", {}, left_out=losses))


def test_losses_are_named_up_to_a_number():
    assert left_out(0) == []
    few, many = left_out(NOTED), left_out(NOTED + 2)
    assert len(few) == NOTED
    assert few[0].startswith("left out: ")
    assert few[0].endswith("f0 (1,000 bytes): too big")
    assert many[:NOTED] == few
    assert many[NOTED:] == ["left out: 2 more; --json names them"]
    assert "\x1b" not in "".join(few)


def test_cut_output_says_where_the_rest_is():
    cut = ComputeHordeJobResult("a", "b", {}, truncated={"stdout": 2_000_000})
    (line,) = rendering.truncated_output(cut, EXAMPLE_UUID)
    assert "the middle of stdout" in line
    assert "2,000,000 bytes" in line
    assert line.endswith(f"compute-horde logs {EXAMPLE_UUID}")
    binary = ComputeHordeJobResult("a", "\N{REPLACEMENT CHARACTER}", {}, truncated={"stderr": 9})
    (line,) = rendering.truncated_output(binary, EXAMPLE_UUID)
    assert line.startswith("stderr is not as the job printed it: its 9 bytes are not UTF-8")
    assert "-o" in line


def test_the_error_of_a_job_names_stage_reporter_fault_and_next_step():
    details = {"reason": "nonzero_return_code", "message": f"bad{ESCAPE}", "stage": "execution"}
    line = rendering.error_line(job_with("sent", "failed", job_failure_details=details))
    assert line.startswith(
        f"job {EXAMPLE_UUID} ended failed during execution: nonzero_return_code: bad"
    )
    assert re.search(r" \[fault: user; next step: .+\]$", line)
    assert "\x1b" not in line
    details = {"reason": "generic_error", "message": "m", "reported_by": "miner"}
    line = rendering.error_line(job_with("sent", "horde_failed", horde_failure_details=details))
    assert "ended horde_failed (says the miner): generic_error: m" in line
    assert rendering.error_line(job_with("rejected")).endswith("rejected, without a reason")


@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        (("sent", "received", "cancelled"), " before a machine was found for it"),
        (("sent", "accepted", "executor_ready", "cancelled"), "; it had a machine for 3.0 s"),
    ],
)
def test_a_cancelled_job_says_how_long_it_had_a_machine(statuses, end):
    details = {"reason": "cancelled", "message": "m", "stage": "execution"}
    job = job_with(*statuses, job_failure_details=details)
    assert rendering.error_line(job) == f"job {EXAMPLE_UUID} was cancelled{end}"


def test_a_table_has_aligned_columns(capsys):
    long = job_with("sent")
    long.docker_image, long.executor_class = f"image{ESCAPE}", "short"
    rendering.table([job_with("sent", "completed"), long])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["UUID", "STATUS", "CREATED", "CLASS", "IMAGE"]
    assert rows[0].split()[1:] == [
        "completed", "2026-01-01", "00:00:00", "always_on.gpu-24gb", "busybox"
    ]  # fmt: skip
    assert {row.index("2026") for row in rows} == {head.index("CREATED")}
    assert "\x1b" not in rows[1]


def test_a_table_on_a_terminal_has_the_same_cells(monkeypatch):
    file = Terminal()
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    rendering.table([job_with("sent")])
    cells = ["UUID", "STATUS", "CREATED", "CLASS", "IMAGE"]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    assert plain.split()[:6] == [*cells, EXAMPLE_UUID]


def test_a_job_in_full_has_its_history_and_all_of_its_result(capsys):
    result = ComputeHordeJobResult(
        f"out{ESCAPE}\n",
        "",
        {"/artifacts/b": b"x" * 1234, "/artifacts/a": b""},
        left_out=[LeftOut(name="c", why="too big")],
        truncated={"stdout": 10**7},
    )
    rendering.details(job_with("sent", "completed", result=result))
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[:4] == [
        f"job       {EXAMPLE_UUID}",
        "image     busybox",
        "class     always_on.gpu-24gb",
        "status    completed",
    ]
    assert lines[5] == "  2026-01-01 00:00:01  +   1.500 s  completed"
    assert lines.index("artifact  /artifacts/a  0 bytes") < lines.index(
        "artifact  /artifacts/b  1,234 bytes"
    )
    assert "left out  c: too big" in lines
    assert "stdout" in lines
    assert "stderr" not in lines
    assert lines[-1].startswith("truncated the middle of stdout")
    assert "\x1b" not in text
    assert "error" not in text


def test_a_failed_job_in_full_has_its_error(capsys):
    rendering.details(job_with("sent", "rejected"))
    assert f"error     job {EXAMPLE_UUID} ended rejected, without a reason" in (
        capsys.readouterr().out.splitlines()
    )
