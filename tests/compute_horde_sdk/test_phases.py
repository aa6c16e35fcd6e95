"""The line that says what a job is busy with."""

from compute_horde_sdk.phases import Phase
from compute_horde_sdk.statuses import JobProgress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def made(done, total=900_000_000):
    return JobProgress("volume_download", "image x", done, total)


def test_the_line_names_the_phase_and_what_is_known():
    clock = Clock()
    phase = Phase("handing the job in", clock)
    assert phase.line() == "handing the job in 00:00"
    phase.enter("accepted", "preparing a machine")
    clock.now += 65
    assert phase.line() == "preparing a machine 01:05"
    phase.made(made(312_000_000))
    assert phase.line() == "fetching image x: 312 of 900 MB"
    phase.made(made(5_000_000, None))
    assert phase.line() == "fetching image x: 5 MB"
    phase.made(made(900_000_000))
    assert phase.line() == "preparing a machine 01:05"
    phase.made(made(1))
    phase.enter("volumes_ready", "inputs there, running")
    clock.now += 41
    assert phase.line() == "running 00:41"


def test_on_a_page_numbers_are_news_and_the_clock_seldom_is():
    clock = Clock()
    phase = Phase("x", clock)
    phase.enter("volumes_ready", "running")
    told = []
    for clock.now in range(0, 400, 2):
        if line := phase.news():
            told.append(line)
    assert told[:4] == ["running 00:10", "running 00:30", "running 01:10", "running 02:10"]
    phase.enter("accepted", "preparing")
    phase.made(made(1_000_000))
    assert phase.news() == "fetching image x: 1 of 900 MB"
    assert phase.news() is None
    phase.made(made(2_000_000))
    assert phase.news() == "fetching image x: 2 of 900 MB"
