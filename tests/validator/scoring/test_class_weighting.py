"""The weight of a class is divided in proportion to scores."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.class_weighting import weighted_scores

scores = st.dictionaries(st.sampled_from("abcde"), st.fractions(0, 1000), min_size=1)


def test_one_class_of_weight_1():
    shares = weighted_scores({"a": Fraction(3), "b": Fraction(1)}, Fraction(1))
    assert shares == {"a": Fraction(3, 4), "b": Fraction(1, 4)}


def test_scores_of_0_stay_0():
    assert weighted_scores({"a": Fraction(0)}, Fraction(9)) == {"a": 0}
    assert weighted_scores({}, Fraction(9)) == {}


@given(scores, st.fractions(0, 100))
def test_the_sum_is_the_weight_exactly(given_scores, weight):
    total = sum(weighted_scores(given_scores, weight).values())
    assert total == (weight if any(given_scores.values()) else 0)
