"""The texts about a batch's attempts."""

import pytest
from django.utils import timezone

from tests.validator.synthetic.test_measured import attempt
from validator.scoring.facts import JobOutcome
from validator.scoring.points.jobs import WITHOUT_POINTS
from validator.synthetic import attempts_table
from validator.synthetic.models import Batch, Puzzle

pytestmark = pytest.mark.django_db


def held() -> Batch:
    return Batch.objects.create(block=1, seed="s", alive_at=timezone.now())


def test_outcomes_are_counted_the_most_frequent_first() -> None:
    batch = held()
    assert attempts_table.by_outcome(batch) == "none"
    for outcome in ("too_late", "correct", "too_late"):
        attempt(batch, "a", outcome)
    assert attempts_table.by_outcome(batch) == "2 too_late, 1 correct"


def test_times_that_an_attempt_did_not_reach_are_empty() -> None:
    batch = held()
    attempt(batch, "a", "unreachable")
    (row,) = attempts_table.attempts(batch).partition("<tbody>")[2].splitlines()
    assert row.startswith("<tr><td>a</td><td>always_on.test</td><td>hash</td><td>unreachable</td>")
    assert "<td>nobody</td>" in row
    assert row.count("<td></td>") == 5


def test_only_so_many_rows_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_table, "MAX_ROWS", 2)
    batch = held()
    for _ in range(3):
        attempt(batch, "a", "correct")
    assert attempts_table.attempts(batch).count("<td>a</td>") == 2
    assert "<td>3</td><td>3 correct</td><td>0</td><td>0</td>" in attempts_table.miners(batch)


def test_a_miner_s_outcomes_say_how_they_count_in_the_words_of_the_explanation() -> None:
    batch = held()
    attempt(batch, "a", "correct")
    attempt(batch, "a", "too_late", blamed="miner")
    Puzzle.objects.filter(outcome="too_late").update(verdict="no answer in 30 s")
    attempt(batch, "a", "declined_busy", blamed="miner", excused=True)
    attempt(batch, "a", "unreachable")
    attempt(batch, "a", "open")
    text = attempts_table.miners(batch)
    reason, remedy = WITHOUT_POINTS[JobOutcome.LATE]
    for shown in (
        "1 completed",
        f"1 {reason}: {remedy}",
        "1 declined with an excuse",
        "1 do not count: not the miner&#x27;s fault",
        "1 not ended",
        "<td>no answer in 30 s</td>",
        "<td>5</td>",
    ):
        assert shown in text


def test_a_miner_s_attempts_are_one_click_away() -> None:
    batch = held()
    attempt(batch, "a&b", "correct")
    address = attempts_table.attempts_url(batch.pk, "a&b", "always_on.test")
    assert address.endswith("hotkey__exact=a%26b&executor_class__exact=always_on.test")
    assert address.replace("&", "&amp;") in attempts_table.miners(batch)
