"""Refusals lower the factor, work raises it again."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.efficiency import EfficiencyRule, WorkEvent, willingness

RULE = EfficiencyRule(step=Fraction("0.1"), healing_per_hour=Fraction("0.2"), least=Fraction("0.5"))
REFUSED = WorkEvent(refused=True)
HOUR = WorkEvent(Fraction(3600))
events = st.lists(
    st.one_of(st.just(REFUSED), st.builds(WorkEvent, st.fractions(0, 10**4))), max_size=20
)


def factor(*happened, carried=1):
    return willingness(Fraction(carried), happened, RULE).factor


def test_each_refusal_takes_off_a_step():
    assert factor() == 1
    assert factor(REFUSED) == Fraction("0.9")
    assert factor(REFUSED, REFUSED) == Fraction("0.8")


def test_work_heals_up_to_one():
    assert factor(REFUSED, REFUSED, WorkEvent(Fraction(1800))) == Fraction("0.9")
    assert factor(REFUSED, HOUR) == 1
    assert factor(HOUR, REFUSED) == Fraction("0.9")


def test_refusals_stop_at_the_floor():
    assert factor(*[REFUSED] * 20) == Fraction("0.5")
    # A factor carried on from before may be lower already; a refusal does not raise it.
    assert factor(REFUSED, carried=Fraction("0.3")) == Fraction("0.3")


@given(events, st.fractions(0, 1))
def test_what_was_lost_and_healed_explains_the_factor(happened, carried):
    after = willingness(carried, happened, RULE)
    assert after.factor == carried - after.lost + after.healed
    assert 0 <= after.factor <= 1
