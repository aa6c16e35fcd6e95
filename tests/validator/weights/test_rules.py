"""The window of blocks in which weights are set."""

from dataclasses import replace
from fractions import Fraction

import pytest

from compute_horde.adapters.chain_port import Hyperparameters, Neuron
from compute_horde.cycles import Cycle, cycle_at
from tests.validator.chains import neuron
from validator.scoring.parameters import LimitParameters
from validator.weights import rules


def test_on_the_live_network_the_window_is_the_published_one() -> None:
    assert rules.window(Cycle(5_999_820, 6_000_542, 0)) == range(6_000_181, 6_000_527)


def test_a_short_cycle_has_a_window_too() -> None:
    assert rules.window(Cycle(100, 120, 5)) == range(110, 120)
    assert rules.window(Cycle(0, 2, 0)) == range(1, 2)


def test_the_cycle_before_is_paid() -> None:
    cycle = cycle_at(6_000_000, netuid=12, tempo=360)
    paid = rules.paid_cycle(cycle, netuid=12, tempo=360)
    assert (paid.stop, paid.number) == (cycle.start, cycle.number - 1)


@pytest.mark.parametrize(
    ("blocks", "validity"), [(346, 35), (140, 35), (100, 25), (40, 10), (10, 7), (1, 7)]
)
def test_a_window_has_room_for_several_transactions(blocks: int, validity: int) -> None:
    assert rules.validity_blocks(range(100, 100 + blocks)) == validity


LIMITS = LimitParameters()


def test_the_largest_weight_is_65535_and_zeros_are_left_out() -> None:
    weights = {"a": Fraction(1, 3), "b": Fraction(2, 3), "c": Fraction(1, 10**9)}
    assert rules.u16_values(weights, {"a": 4, "b": 2, "c": 3}, LIMITS) == {2: 65535, 4: 32768}
    assert rules.u16_values(weights, {"x": 1}, LIMITS) == {}
    assert rules.u16_values({}, {"x": 1}, LIMITS) == {}


def test_weights_of_those_who_left_go_to_the_others_within_the_limits() -> None:
    weights = {"a": Fraction(65535), "b": Fraction(100), "gone": Fraction(50)}
    uids = {"a": 0, "b": 1, "c": 2, "d": 3}
    assert rules.u16_values(weights, uids, LIMITS) == {0: 65535, 1: 100}
    equal = {"a": Fraction(1), "gone": Fraction(1)}
    at_least_two = LimitParameters(min_allowed_weights=2)
    assert len(rules.u16_values(equal, uids, at_least_two)) == 4
    half = rules.u16_values(weights, uids, LimitParameters(max_weight=40000))
    assert half[0] / sum(half.values()) <= 40000 / 65535 + 0.001


def test_the_operator_is_warned_in_the_second_half_of_a_window() -> None:
    window = range(100, 110)
    assert [rules.is_in_danger(window, block) for block in (100, 105, 106, 109)] == [
        False,
        False,
        True,
        True,
    ]


US = neuron(0, "us", validator_permit=True, last_update=50)
HYPER = Hyperparameters(360, 100, 2, 1, 65535, False, 1, 0)


def test_nothing_prevents_weights() -> None:
    assert rules.obstacle(US, HYPER, block=150, version=2) is None
    never = replace(US, last_update=0)
    assert rules.obstacle(never, HYPER, block=10, version=2) is None


@pytest.mark.parametrize(
    ("us", "block", "version", "problem", "until"),
    [
        (None, 150, 2, "not registered", 151),
        (replace(US, validator_permit=False), 150, 2, "no validator permit", 151),
        (US, 150, 1, "requires weights of version 2", 151),
        (US, 149, 2, "last set in block 50", 150),
    ],
)
def test_what_prevents_weights_is_named_with_the_next_block_to_try(
    us: Neuron | None, block: int, version: int, problem: str, until: int
) -> None:
    found = rules.obstacle(us, HYPER, block, version)
    assert found is not None
    assert problem in found[0]
    assert found[1] == until


@pytest.mark.parametrize(
    ("paid_until", "length_then", "first"),
    [
        (100, 20, 100),
        (80, 20, 100),  # one window was missed
        (107, 20, 107),
        (120, 20, 120),  # nothing is left
        (130, 30, 130),
        (93, 20, 93),  # the grid moved
        (80, 30, 80),  # by as much as a cycle of now
        (41, 30, 41),
        (40, 30, 100),  # windows were missed before the change
        (61, None, 61),
        (59, None, 100),
    ],
)
def test_work_is_paid_from_the_last_paid_block_on(
    paid_until: int, length_then: int | None, first: int
) -> None:
    assert rules.first_unpaid(Cycle(100, 120, 5), paid_until, length_then) == first
