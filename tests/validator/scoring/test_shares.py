"""From scores to shares that sum to one and explain themselves."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.validator.scoring.cycle_facts import (
    LLM,
    NO_DANCE,
    executor_counts,
    one_class,
    registered,
    with_parameters,
)
from validator.scoring.facts import CycleFacts
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import (
    BurnParameters,
    Dancing,
    DancingParameters,
    FormulaName,
    LimitParameters,
)
from validator.scoring.shares import (
    shares,
    with_burn,
    with_limits,
    with_peak_penalty,
    with_size_bonus,
)

BY_SIZE = DancingParameters(kind=Dancing.SIZE, bonus=Decimal("0.05"), main_hotkey_share=None)


def scored(**amounts):
    return {
        hotkey: Statement(
            (LineItem("work", Fraction(1), "jobs", Fraction(amount), "" if amount else "work"),)
        )
        for hotkey, amount in amounts.items()
    }


def totals(statements):
    return {hotkey: statement.total for hotkey, statement in statements.items()}


@pytest.mark.parametrize(
    ("before", "now", "score"),
    [(10, 14, "1.05"), (10, 13, "1"), (14, 10, "1.05"), (0, 10, "1.05")],
)
def test_the_worked_dances_by_size(before, now, score):
    facts = CycleFacts(
        0,
        registered("a"),
        peak_offered=executor_counts(a=now),
        previous_peak_offered=executor_counts(a=before),
    )
    after = with_size_bonus(scored(a=1), facts, one_class(dancing=BY_SIZE))
    assert totals(after) == {"a": Fraction(score)}
    assert totals(with_size_bonus(scored(a=1), facts, one_class())) == {"a": 1}


def test_the_worked_dance_of_a_class():
    facts = CycleFacts(
        0,
        registered("a", "b"),
        peak_offered=executor_counts(a=14, b=1),
        previous_peak_offered=executor_counts(a=10, b=1),
    )
    found = shares(
        scored(a=Fraction("0.75"), b=Fraction("0.25")), facts, one_class(dancing=BY_SIZE)
    )
    assert [one.u16 for one in found] == [65535, 20805]
    assert [one.reason for one in found[0].items] == [
        "work",
        "dancing bonus: the size changed between peaks",
    ]


def test_sizes_of_the_formula_seconds_are_by_the_value_of_classes():
    parameters = with_parameters(FormulaName.SECONDS, class_weights={}, dancing=BY_SIZE)
    facts = CycleFacts(
        0,
        registered("a"),
        peak_offered=executor_counts(a=4),
        previous_peak_offered=executor_counts(a=4),
    )
    assert totals(with_size_bonus(scored(a=1), facts, parameters)) == {"a": 1}


@pytest.mark.parametrize(
    ("is_peak", "now", "score"), [(False, 2, "0.8"), (False, 3, "1"), (True, 2, "1")]
)
def test_the_worked_penalty_outside_of_peaks(is_peak, now, score):
    facts = CycleFacts(
        0,
        registered("a"),
        is_peak=is_peak,
        offered=executor_counts(a=now),
        peak_offered=executor_counts(a=30),
    )
    after = with_peak_penalty(scored(a=1), facts, one_class())
    assert totals(after) == {"a": Fraction(score)}


def test_the_worked_burn():
    facts = CycleFacts(0, registered("a", "b", "x", "y", "z"))
    burn = BurnParameters(
        targets=("x", "y", "z", "gone"), rate=Decimal("0.3"), partition=Decimal("0.8")
    )
    given = scored(a=Fraction("0.6"), b=Fraction("0.4"), x=0, y=0, z=0)
    found = shares(given, facts, one_class(burn=burn))
    assert {one.hotkey: one.share for one in found if one.hotkey in "ab"} == {
        "a": Fraction("0.42"),
        "b": Fraction("0.28"),
    }
    assert sorted(one.u16 for one in found) == [4681, 4681, 37449, 43690, 65535]
    assert [(one.reason, one.amount) for one in found[0].items] == [
        ("work", Fraction("0.6")),
        ("burned share", Fraction("-0.18")),
    ]


def test_nothing_burns_without_registered_targets():
    facts = CycleFacts(0, registered("a"))
    burn = BurnParameters(targets=("gone",), rate=Decimal(1))
    assert totals(with_burn(scored(a=1), facts, one_class(burn=burn))) == {"a": 1}


def test_where_nobody_earned_anything_there_is_nothing_to_set():
    found = shares(scored(a=0, b=0), CycleFacts(0, registered("a", "b")), one_class())
    assert [(one.share, one.u16, one.items[0].remedy) for one in found] == [(0, 0, "work")] * 2


def test_where_nobody_earned_anything_all_is_burned():
    facts = CycleFacts(0, registered("a", "x"))
    burn = BurnParameters(targets=("x",), rate=Decimal("0.3"))
    found = shares(scored(a=0, x=0), facts, one_class(burn=burn))
    assert [(one.share, one.u16) for one in found] == [(0, 0), (1, 65535)]


def test_the_chains_limits_are_items_too():
    facts = CycleFacts(0, registered("a", "b", "c"))
    limits = LimitParameters(min_allowed_weights=3, max_weight=32768)
    after = with_limits(scored(a=9, b=1, c=0), facts, limits)
    assert sum(totals(after).values()) == 1
    assert float(after["a"].total) == pytest.approx(0.5, abs=1e-4)
    assert after["a"].items[-1].amount < 0 < after["b"].items[-1].amount
    assert after["c"].total > 0


def test_tiny_amounts_become_zero_with_a_remedy():
    facts = CycleFacts(0, registered("a", "b"))
    found = shares(scored(a=10**15, b=1), facts, one_class(dancing=NO_DANCE))
    assert [one.share for one in found] == [1, 0]
    assert "twelve decimals" in found[1].items[0].remedy


def test_shares_are_in_the_order_of_uids():
    facts = CycleFacts(0, tuple(reversed(registered("a", "b"))), offered=())
    found = shares(scored(b=1, a=1), facts, one_class(kind=LLM))
    assert [(one.uid, one.share) for one in found] == [(0, Fraction(1, 2)), (1, Fraction(1, 2))]
