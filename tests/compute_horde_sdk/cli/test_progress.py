"""The progress line of a job."""

from compute_horde_sdk.cli.progress import Phase
from compute_horde_sdk.job_status import JobProgress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def made(done, total=900_000_000):
    return JobProgress("volume_download", "image x", done, total)


def test_the_line_names_the_phase_and_what_is_known():
    clock = Clock()
    phase = Phase("submitting the job", clock)
    assert phase.line() == "submitting the job 00:00"
    phase.enter("accepted", "preparing a machine")
    clock.now += 65
    assert phase.line() == "preparing a machine 01:05"
    phase.on_progress(made(312_000_000))
    assert phase.line() == "fetching image x: 312 of 900 MB"
    phase.on_progress(made(5_000_000, None))
    assert phase.line() == "fetching image x: 5 MB"
    phase.on_progress(made(900_000_000))
    assert phase.line() == "preparing a machine 01:05"
    phase.on_progress(made(1))
    phase.enter("volumes_ready", "inputs ready, running")
    clock.now += 41
    assert phase.line() == "running 00:41"


def test_on_a_page_numbers_are_news_and_the_clock_seldom_is():
    clock = Clock()
    phase = Phase("x", clock)
    phase.enter("volumes_ready", "running")
    lines = []
    for clock.now in range(0, 400, 2):
        if line := phase.next_line():
            lines.append(line)
    assert lines[:4] == ["running 00:10", "running 00:30", "running 01:10", "running 02:10"]
    phase.enter("accepted", "preparing")
    phase.on_progress(made(1_000_000))
    assert phase.next_line() == "fetching image x: 1 of 900 MB"
    assert phase.next_line() is None
    phase.on_progress(made(2_000_000))
    assert phase.next_line() == "fetching image x: 2 of 900 MB"


def test_what_is_tried_again_is_said_within_ten_seconds_and_then_more_rarely():
    clock = Clock()
    phase = Phase("submitting the job", clock)
    lines = []
    phase.on_problem("no answer from f")
    for _ in range(120):
        clock.now += 1
        phase.on_problem("no answer from f")
        if line := phase.next_line():
            lines.append(line)
    assert lines[0] == "no answer from f 00:02"
    assert 3 <= len(lines) <= 6
    assert all(line.startswith("no answer from f") for line in lines)
    phase.on_problem(None)
    assert phase.line() == "submitting the job 02:00"


def test_a_problem_that_is_over_at_once_is_not_worth_a_line():
    clock = Clock()
    phase = Phase("submitting the job", clock)
    phase.on_problem("no answer from f")
    clock.now += 1
    assert phase.next_line() is None
    phase.on_problem(None)
    clock.now += 1
    assert phase.next_line() is None
