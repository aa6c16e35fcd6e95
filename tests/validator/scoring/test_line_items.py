"""Line items sum to their score, and nothing is without an explanation."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.line_items import LineItem, Statement, combined

amounts = st.lists(st.fractions().filter(bool), max_size=8)


def item(amount, remedy=""):
    return LineItem("work", Fraction(1), "jobs", Fraction(amount), remedy)


def test_an_amount_of_0_says_what_would_change_it():
    with pytest.raises(ValueError, match="what would change it"):
        item(0)
    assert item(0, "do work").amount == 0


def test_items_of_a_worthless_class_are_explained():
    after = Statement((item(3), item(0, "do work"))).scaled(Fraction(0), remedy="no weight")
    assert [(one.amount, one.remedy) for one in after.items] == [(0, "no weight"), (0, "do work")]


def test_no_item_says_that_nothing_changed():
    statement = Statement((item(3),))
    assert statement.brought_to(Fraction(3), "bonus", number=Fraction(0)) == statement


@given(amounts, st.fractions(), st.fractions().filter(bool))
def test_a_statement_comes_to_any_total_exactly(given_amounts, total, factor):
    statement = Statement(tuple(item(amount) for amount in given_amounts))
    after = statement.brought_to(total, "bonus", number=Fraction(1))
    assert after.total == total
    assert after.scaled(factor, remedy="").total == total * factor
    assert combined([after, statement]).total == total + statement.total
