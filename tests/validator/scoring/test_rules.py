"""Weights computed from points add up exactly."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from compute_horde.hardware import ExecutorClass
from validator.scoring.rules import Earned, miner_weights

TEST, LLM = ExecutorClass.always_on__test, ExecutorClass.always_on__llm__a6000
points = st.builds(
    Earned, st.sampled_from("abcdefg"), st.sampled_from(ExecutorClass), st.integers(0, 10**6)
)
class_weights = st.fixed_dictionaries(
    {kind: st.decimals(0, 1000, places=3) for kind in ExecutorClass}
)


def test_a_class_is_shared_by_points_and_classes_by_their_weight() -> None:
    earned = [Earned("a", TEST, 1), Earned("b", TEST, 3), Earned("b", LLM, 5)]
    weights = miner_weights(earned, {TEST: Decimal(1), LLM: Decimal(3)})
    assert weights == {"a": Decimal("0.0625"), "b": Decimal("0.9375")}


def test_nobody_earns_by_wrong_answers_or_in_a_class_without_weight() -> None:
    earned = [Earned("wrong", TEST, 0), Earned("worthless", LLM, 9), Earned("right", TEST, 1)]
    assert miner_weights(earned, {TEST: Decimal(1)}) == {"right": Decimal(1)}


def test_where_nothing_was_earned_there_are_no_weights() -> None:
    assert miner_weights([], {TEST: Decimal(1)}) == {}
    assert miner_weights([Earned("a", TEST, 0)], {TEST: Decimal(1)}) == {}


@given(st.lists(points, max_size=30), class_weights)
def test_weights_add_up_to_exactly_one_or_there_are_none(earned, weights) -> None:
    shares = miner_weights(earned, weights)
    worked = any(one.points and weights[one.executor_class] for one in earned)
    assert sum(shares.values()) == (1 if worked else 0)
    assert all(share > 0 for share in shares.values())


@given(st.lists(points, min_size=1, max_size=30), class_weights)
def test_the_order_of_jobs_does_not_matter(earned, weights) -> None:
    assert miner_weights(earned, weights) == miner_weights(earned[::-1], weights)


@given(st.lists(points, max_size=20), class_weights, st.integers(1, 1000))
def test_another_point_never_costs_its_miner_anything(earned, weights, more) -> None:
    extra = Earned("a", TEST, more)
    before, after = miner_weights(earned, weights), miner_weights([*earned, extra], weights)
    classes_before = {one.executor_class for one in earned if one.points}
    if TEST in classes_before:
        rounding = Decimal(len(ExecutorClass)) / 10**12
        assert after.get("a", 0) + rounding >= before.get("a", 0)
