"""What the charts show of miners and classes, and that it is bounded."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.validator.operators import cycles
from tests.validator.operators.cycles import GPU, LENGTH, TEST
from tests.validator.scores.cycles import attempt
from validator.operators import points_chart
from validator.operators.points_chart import ChartChoice, Measure, chart, choice

POINTS = Measure.POINTS


def lines(chosen: ChartChoice) -> dict[str, list[float | None]]:
    return {line.name: list(line.values) for line in chart(chosen).lines}


@pytest.mark.django_db
def test_shares_are_split_by_class_and_add_up_to_the_score() -> None:
    cycles.scored(0, {"alice": {TEST: "0.25", GPU: "0.5"}, "bob": {TEST: "0.25"}})
    cycles.scored(LENGTH, {"alice": {TEST: "1"}, "bob": {}})
    assert lines(ChartChoice()) == {
        f"alice {TEST}": [25.0, 100.0],
        f"alice {GPU}": [50.0, None],
        f"bob {TEST}": [25.0, None],
    }
    assert chart(ChartChoice()).labels == ["0", str(LENGTH)]
    assert lines(ChartChoice(miners=1)).keys() == {f"alice {TEST}", f"alice {GPU}"}
    assert lines(ChartChoice(hotkey="bob")).keys() == {f"bob {TEST}"}
    assert lines(ChartChoice(executor_class=GPU)) == {f"alice {GPU}": [50.0, None]}
    assert lines(ChartChoice(cycles=1)) == {f"alice {TEST}": [100.0]}


@pytest.mark.django_db
def test_points_are_those_of_batches_that_count() -> None:
    first, second = cycles.batch(0), cycles.batch(LENGTH)
    for held in (first, second, second, cycles.batch(2 * LENGTH, state="failed")):
        attempt(held, "alice")
    attempt(second, "bob", executor_class=GPU)
    attempt(second, "bob", "wrong_answer")
    assert lines(ChartChoice(POINTS)) == {
        f"alice {TEST}": [1.0, 2.0],
        f"bob {GPU}": [None, 1.0],
    }
    assert lines(ChartChoice(POINTS, miners=1)).keys() == {f"alice {TEST}"}
    assert lines(ChartChoice(POINTS, hotkey="bob")).keys() == {f"bob {GPU}"}
    assert lines(ChartChoice(POINTS, executor_class=GPU)).keys() == {f"bob {GPU}"}


@pytest.mark.django_db
@pytest.mark.parametrize("measure", Measure)
def test_more_rows_need_no_more_queries(measure: Measure) -> None:
    counts = []
    for number in range(3):
        attempt(cycles.batch(number * LENGTH), "alice")
        cycles.scored(number * LENGTH, {"alice": {TEST: "1"}})
        with CaptureQueriesContext(connection) as queries:
            chart(ChartChoice(measure))
        counts.append(len(queries))
    assert len(set(counts)) == 1


@pytest.mark.django_db
def test_so_many_lines_are_drawn_the_largest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_chart, "MAX_LINES", 2)
    shares = {f"m{number}": {TEST: f"0.{number}"} for number in range(1, 5)}
    cycles.scored(0, shares)
    assert list(lines(ChartChoice())) == [f"m4 {TEST}", f"m3 {TEST}"]


def test_a_choice_is_brought_into_bounds() -> None:
    assert choice({}) == ChartChoice()
    assert choice({"measure": "points", "cycles": "7", "miners": "3", "hotkey": " a "}) == (
        ChartChoice(POINTS, 7, 3, hotkey="a")
    )
    wild = {"measure": "x", "cycles": "999999", "miners": "-1", "executor_class": "x"}
    assert choice(wild) == ChartChoice()
    assert choice({"cycles": "9999", "miners": "0"}) == ChartChoice(cycles=100, miners=1)
    assert choice({"executor_class": GPU}).executor_class == GPU
