"""Weights keep to the chain's limits on their number and size."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.chain_limits import U16, limited_weights

scores = st.dictionaries(st.integers(0, 15), st.fractions(0, 100, max_denominator=1000))


def limited(given_scores, *, neurons=16, fewest=0, most=U16):
    return limited_weights(given_scores, uids=range(neurons), min_weights=fewest, max_weight=most)


def test_scores_become_shares():
    assert limited({0: Fraction(1), 1: Fraction(3), 2: Fraction(0)}) == {
        0: Fraction(1, 4),
        1: Fraction(3, 4),
    }


def test_without_any_score_all_get_the_same():
    assert limited({3: Fraction(0)}, neurons=4) == dict.fromkeys(range(4), Fraction(1, 4))


def test_a_subnet_smaller_than_the_minimum_gets_the_same_for_all():
    weights = limited({0: Fraction(9), 1: Fraction(1)}, neurons=4, fewest=5)
    assert weights == dict.fromkeys(range(4), Fraction(1, 4))


def test_too_few_scores_are_filled_up_with_a_minimum():
    weights = limited({1: Fraction(1)}, neurons=3, fewest=2)
    least = Fraction(1, 10**5)
    total = 1 + 3 * least
    assert weights == {0: least / total, 1: (1 + least) / total, 2: least / total}


def test_a_limit_too_small_for_all_gives_the_same_to_all():
    assert limited({0: Fraction(9), 1: Fraction(1)}, most=U16 // 2) == {
        0: Fraction(1, 2),
        1: Fraction(1, 2),
    }


def test_a_share_above_the_limit_is_cut_and_the_others_grow():
    cut = limited({0: Fraction(90), 1: Fraction(5), 2: Fraction(5)}, most=U16 * 2 // 5)
    assert float(cut[0]) == pytest.approx(0.4, abs=1e-5)
    assert cut[1] == cut[2]


@given(scores, st.integers(0, 20), st.integers(1, U16))
def test_weights_sum_to_exactly_one_and_none_is_zero(given_scores, fewest, most):
    weights = limited(given_scores, fewest=fewest, most=most)
    assert sum(weights.values()) == 1
    assert all(weight > 0 for weight in weights.values())
    assert len(weights) >= min(fewest, 16)


@given(scores, st.integers(1, U16))
def test_no_share_is_above_the_limit_where_that_is_possible(given_scores, most):
    weights = limited(given_scores, most=most)
    possible = max(Fraction(most, U16), Fraction(1, len(weights)))
    assert max(weights.values()) <= possible + Fraction(1, 10**5)
