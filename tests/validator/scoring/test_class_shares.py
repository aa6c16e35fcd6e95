"""From points in classes to the scores of miners."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from tests.validator.scoring.cycle_facts import (
    LLM,
    NO_DANCE,
    SPIN_UP,
    TEST,
    cycle_facts,
    few_examples,
    one_class,
    parameter_sets,
    registered,
    with_parameters,
)
from validator.scoring.class_shares import over_hotkeys, scores, with_horde_score
from validator.scoring.facts import CycleFacts, MainHotkeys, RegisteredMiner
from validator.scoring.formulas import POINTS
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import (
    DEFAULTS,
    Dancing,
    DancingParameters,
    FormulaName,
    HordeParameters,
)
from validator.scoring.points.class_points import ClassPoints

MINERS = CycleFacts(0, registered("a", "b"))


def earned(hotkey, kind, points, *, size=0):
    item = LineItem("work", Fraction(points), "jobs", Fraction(points), "" if points else "work")
    return ClassPoints(hotkey, kind, Statement((item,)), Fraction(points), size)


def totals(statements):
    return {hotkey: statement.total for hotkey, statement in statements.items()}


def test_the_worked_class():
    found = scores([earned("a", LLM, 3), earned("b", LLM, 1)], MINERS, one_class())
    assert totals(found) == {"a": Fraction(3, 4), "b": Fraction(1, 4)}


def test_the_two_worked_classes():
    parameters = with_parameters(
        FormulaName.JOBS,
        class_weights={SPIN_UP: Decimal(99), LLM: Decimal(1)},
        horde=HordeParameters(classes=(SPIN_UP,)),
    )
    points = [
        earned("a", SPIN_UP, 10, size=10),
        earned("b", SPIN_UP, 2, size=2),
        earned("a", LLM, 0),
        earned("b", LLM, 2),
    ]
    found = totals(scores(points, MINERS, parameters))
    assert float(found["a"]) == pytest.approx(84.25, abs=0.005)
    assert float(found["b"]) == pytest.approx(15.75, abs=0.005)
    assert found["a"] + found["b"] == 100


def test_the_worked_cycle_of_coldkeys():
    miners = (
        RegisteredMiner("h1", 1, "first"),
        RegisteredMiner("h2", 2, "first"),
        RegisteredMiner("h3", 3, "second"),
    )
    points = [earned("h1", LLM, 100), earned("h2", LLM, 20), earned("h3", LLM, 80)]
    parameters = one_class(dancing=DEFAULTS[FormulaName.ALLOWANCE].dancing)

    def shares(before):
        facts = CycleFacts(0, miners, main_hotkeys=(MainHotkeys("first", "h2", before),))
        return totals(scores(points, facts, parameters))

    danced = {"h2": 0.4981, "h1": 0.1245, "h3": 0.3774}
    assert {key: float(one) for key, one in shares("h1").items()} == pytest.approx(danced, abs=5e-5)
    assert shares("h2") == {"h2": Fraction("0.48"), "h1": Fraction("0.12"), "h3": Fraction("0.40")}


def test_what_a_class_nobody_worked_in_weighs_is_lost():
    parameters = with_parameters(
        FormulaName.JOBS, class_weights={SPIN_UP: Decimal(99), LLM: Decimal(1)}
    )
    found = scores([earned("a", LLM, 3), earned("a", SPIN_UP, 0)], MINERS, parameters)
    assert totals(found) == {"a": 1, "b": 0}


def test_seconds_of_all_classes_are_compared_with_each_other():
    points = [earned("a", LLM, 3), earned("b", SPIN_UP, 1)]
    found = scores(points, MINERS, with_parameters(FormulaName.SECONDS))
    assert totals(found) == {"a": Fraction(3, 4), "b": Fraction(1, 4)}


def test_work_in_a_class_without_weight_is_explained():
    found = scores([earned("a", TEST, 3), earned("a", LLM, 1)], MINERS, one_class())
    worthless, _ = found["a"].items
    assert (worthless.amount, worthless.remedy) == (0, "the class has no weight")


def test_the_horde_score_leaves_other_points_as_they_are():
    item = LineItem("work", Fraction(5), "jobs", Fraction(5))
    points = ClassPoints("a", SPIN_UP, Statement((item,)), Fraction(2), 2)
    after = with_horde_score(points, HordeParameters(classes=(SPIN_UP,)))
    assert float(after.statement.total) == pytest.approx(3 + 2 * 0.6225, abs=1e-4)
    assert with_horde_score(points, HordeParameters(classes=(LLM,))) == points


def test_points_of_a_miner_whose_size_is_not_known_count_as_those_of_one():
    points = earned("a", SPIN_UP, 4)
    after = with_horde_score(points, HordeParameters(classes=(SPIN_UP,)))
    assert after.statement.total == 2


def test_the_bonus_of_the_main_hotkey_does_not_need_the_split():
    facts = CycleFacts(
        0, registered("a", "b", coldkey="c"), main_hotkeys=(MainHotkeys("c", "a", "b"),)
    )
    group = {
        "a": Statement(),
        "b": Statement((LineItem("work", Fraction(1), "jobs", Fraction(10)),)),
    }
    dancing = DancingParameters(
        kind=Dancing.MAIN_HOTKEY, main_hotkey_share=None, bonus=Decimal("0.3")
    )
    after = over_hotkeys(group, facts, one_class(dancing=dancing), LLM)
    assert totals(after) == {"a": 0, "b": 13}
    assert totals(over_hotkeys(group, facts, one_class(dancing=NO_DANCE), LLM)) == {"a": 0, "b": 10}


def test_the_split_says_where_points_went():
    facts = CycleFacts(0, registered("a", "b", coldkey="c"), main_hotkeys=(MainHotkeys("c", "a"),))
    group = {
        "a": Statement(),
        "b": Statement((LineItem("work", Fraction(1), "jobs", Fraction(10)),)),
    }
    after = over_hotkeys(group, facts, one_class(dancing=DancingParameters()), LLM)
    assert [(one.amount, one.number) for one in after["a"].items] == [(8, Fraction("0.8"))]
    assert [(one.amount, one.number) for one in after["b"].items[1:]] == [(-8, Fraction("0.2"))]


@few_examples
@given(cycle_facts(), parameter_sets())
def test_scores_sum_to_the_weights_of_the_classes_in_which_somebody_earned(facts, parameters):
    points = POINTS[parameters.formula](facts, parameters)
    earned_in = {
        one.executor_class for one in points if one.statement.total and _kept(one, parameters)
    }
    weights = parameters.class_weights
    expected = sum(Fraction(weights.get(kind, 0)) for kind in earned_in)
    if parameters.formula == FormulaName.SECONDS:
        expected = 1 if earned_in else 0
    found = scores(points, facts, parameters)
    assert sum(totals(found).values()) == expected


def _kept(points, parameters):
    return with_horde_score(points, parameters.horde).statement.total > 0
