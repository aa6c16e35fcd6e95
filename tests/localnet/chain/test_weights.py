"""Each rule about weights, broken alone."""

from dataclasses import replace

import pytest

from localnet.chain.weights import WeightLimits, WeightSetter, is_rate_limited, problem, scaled_row

SETTER = WeightSetter(uid=0, stake=10, has_permit=True, blocks_since_update=None)
LIMITS = WeightLimits(
    neurons=4, stake_threshold=10, rate_limit=5, version_key=3, min_weights=2, max_weight=65535
)


def test_a_good_row_has_no_problem() -> None:
    assert problem(SETTER, LIMITS, [1, 2, 3], [1, 2, 3], 3) is None


@pytest.mark.parametrize(
    ("uids", "values", "version", "name"),
    [
        ([1, 2], [1], 3, "WeightVecNotEqualSize"),
        ([0, 1, 2, 3, 3], [1] * 5, 3, "UidsLengthExceedUidsInSubNet"),
        ([1, 2], [1, 1], 2, "IncorrectWeightVersionKey"),
        ([1, 1], [1, 1], 3, "DuplicateUids"),
        ([1, 4], [1, 1], 3, "UidVecContainInvalidOne"),
        ([1], [1], 3, "WeightVecLengthIsLow"),
    ],
)
def test_a_bad_row_breaks_its_rule(
    uids: list[int], values: list[int], version: int, name: str
) -> None:
    assert problem(SETTER, LIMITS, uids, values, version) == name


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"stake": 9}, "NotEnoughStakeToSetWeights"),
        ({"blocks_since_update": 4}, "SettingWeightsTooFast"),
        ({"has_permit": False}, "NeuronNoValidatorPermit"),
    ],
)
def test_a_neuron_without_the_right_breaks_its_rule(change: dict[str, int], name: str) -> None:
    assert problem(replace(SETTER, **change), LIMITS, [1, 2], [1, 1], 3) == name


def test_a_neuron_may_weigh_itself_alone_without_a_permit() -> None:
    assert problem(replace(SETTER, has_permit=False), LIMITS, [0], [7], 3) is None


@pytest.mark.parametrize(("values", "ok"), [([1, 1], True), ([3, 2], False)])
def test_no_weight_may_be_above_the_limit(values: list[int], ok: bool) -> None:
    half = replace(LIMITS, max_weight=32768)
    assert problem(SETTER, half, [1, 2], values, 3) == (None if ok else "MaxWeightExceeded")


def test_the_rate_limit_ends_with_its_last_block() -> None:
    assert is_rate_limited(replace(SETTER, blocks_since_update=4), LIMITS)
    assert not is_rate_limited(replace(SETTER, blocks_since_update=5), LIMITS)
    assert not is_rate_limited(SETTER, LIMITS)


def test_a_row_is_stored_relative_to_its_greatest_weight() -> None:
    assert scaled_row([1, 2, 3], [1, 2, 0]) == [(1, 32767), (2, 65535), (3, 0)]
    assert scaled_row([1], [0]) == [(1, 0)]
    assert scaled_row([], []) == []
