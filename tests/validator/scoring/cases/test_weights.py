"""The recorded cases about scores and weights."""

import json
from fractions import Fraction

import pytest

from tests.validator.scoring.cases.recorded import assert_agrees, recorded, stripped
from validator.scoring.cases.files import filled
from validator.scoring.cases.weights import BurnCase, SetWeightsCase, WeightsPerUidCase


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("sigmoid", ["sigmoid", "reversed_sigmoid"]),
        ("horde_score", ["expected"]),
        ("class_weighting", ["expected"]),
        ("main_hotkey_split", ["expected"]),
        ("u16_max_normalisation", ["expected"]),
        ("weights_per_uid", ["expected"]),
        ("burn", ["expected", "main_burner"]),
    ],
)
def test_recorded_cases(kind, outputs):
    assert_agrees(kind, *outputs)


def test_recorded_integers_agree_as_shares():
    document = recorded("set_weights_u16")
    computed = json.loads(filled("set_weights_u16", stripped(document, "expected_u16")))
    for case, found in zip(document["cases"], computed["cases"], strict=True):
        expected, integers = case["expected_u16"], found["expected_u16"]
        assert integers.keys() == expected.keys()
        for hotkey, number in integers.items():
            share = expected[hotkey] / sum(expected.values())
            assert number / sum(integers.values()) == pytest.approx(share, abs=0.001)


def test_scores_of_strangers_alone_give_no_weights():
    case = {"neurons": 3, "scores": {"x9": 1}}
    assert WeightsPerUidCase(**case).outputs() == {"expected": {}}
    assert SetWeightsCase(**case).outputs() == {"expected_u16": {}}


def test_where_no_miner_has_a_score_the_burners_get_all():
    case = BurnCase(neurons=3, scores={}, burn_targets=("h1",), burn_rate=0.5)
    assert case.outputs() == {"expected": {"1": Fraction(1)}, "main_burner": "h1"}
