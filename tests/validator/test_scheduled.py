"""When scheduled tasks are sent."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from validator import scheduled
from validator.celery import TASKS, app


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_is_set_holds_no_task_up_and_sends_none_early(
    monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wall, steady = [datetime.now(UTC)], [5.0]
    monkeypatch.setattr(app, "now", lambda: wall[0])
    monkeypatch.setattr(scheduled, "time", SimpleNamespace(monotonic=lambda: steady[0]))
    scheduler = scheduled.BeatScheduler(app)
    sent = dict.fromkeys(TASKS, 0)

    def send(entry, **_) -> None:
        sent[entry.name] += 1

    monkeypatch.setattr(scheduler, "apply_async", send)
    monkeypatch.setattr(scheduled.BeatScheduler, "producer", None)
    ends = steady[0] + 2 * 3600
    is_set = False
    while steady[0] < ends:
        pause = max(scheduler.tick(), 0.001)
        steady[0] += pause
        wall[0] += timedelta(seconds=pause)
        if not is_set and steady[0] > 1800:
            wall[0] += timedelta(hours=hours)
            is_set = True
    for name, (seconds, _) in TASKS.items():
        assert sent[name] == pytest.approx(2 * 3600 / seconds, rel=0.02, abs=1.1), name
