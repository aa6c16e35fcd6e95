"""Fast progress is told seldom."""

from executor import pace


def test_progress_is_told_a_few_times_a_second(monkeypatch):
    now = 100.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    heard = []
    tell = pace.Paced(lambda *said: heard.append(said))
    for step in range(1000):
        tell("file", step, 1000)
        now += 0.001
    assert heard[0] == ("file", 0, 1000)
    assert len(heard) == 4
