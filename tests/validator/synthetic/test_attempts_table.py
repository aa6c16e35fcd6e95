"""The texts about a batch's attempts."""

import pytest
from django.utils import timezone

from tests.validator.synthetic.test_measured import attempt
from validator.synthetic import attempts_table
from validator.synthetic.models import Batch

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
    assert "<td>3</td><td>0</td><td>0</td><td>3</td>" in attempts_table.miners(batch)
