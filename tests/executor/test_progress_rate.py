"""Progress is reported at a bounded rate."""

from executor import progress


def test_progress_is_told_a_few_times_a_second(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    received = []
    report_progress = progress.ThrottledProgress(lambda *report: received.append(report))
    for step in range(1000):
        report_progress("file", step, 1000)
        now += 0.001
    assert received[0] == ("file", 0, 1000)
    assert len(received) == 4
