"""ScoringParameters are one checked value that a cycle can store."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from compute_horde.hardware import ExecutorClass
from validator.scoring.parameters import DEFAULTS, DancingParameters, FormulaName, ScoringParameters


@pytest.mark.parametrize("formula", FormulaName)
def test_parameters_survive_being_stored(formula):
    before = DEFAULTS[formula]
    text = before.canonical_json()
    after = ScoringParameters.model_validate_json(text)
    assert after == before
    assert after.canonical_json() == text
    assert before.formula == formula


def test_equal_numbers_have_equal_bytes():
    one = ScoringParameters(
        formula=FormulaName.JOBS, dancing=DancingParameters(bonus=Decimal("0.30"))
    )
    two = ScoringParameters(
        formula=FormulaName.JOBS, dancing=DancingParameters(bonus=Decimal("0.3"))
    )
    hundred = ScoringParameters(
        formula=FormulaName.JOBS, class_weights={ExecutorClass.always_on__test: Decimal("1E+2")}
    )
    assert one.canonical_json() == two.canonical_json()
    assert '"always_on.test":"100"' in hundred.canonical_json()


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError):
        DEFAULTS[FormulaName.JOBS].version = "other"


@pytest.mark.parametrize(
    "wrong",
    [
        {"formula": "other"},
        {"formula": "jobs", "unknown": 1},
        {"formula": "jobs", "burn": {"rate": "1.1"}},
        {"formula": "jobs", "dancing": {"size_threshold": "0.9"}},
        {"formula": "jobs", "limits": {"max_weight": 0}},
        {"formula": "jobs", "class_weights": {"always_on.test": "-1"}},
        {"formula": "jobs", "class_weights": {"no.such.class": "1"}},
        {"formula": "jobs", "class_weights": {"always_on.test": "0"}},
        {"formula": "seconds", "seconds": {"class_values": {}}},
        {"formula": "jobs", "burn": {"rate": "NaN"}},
        {"formula": "jobs", "version": ""},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        ScoringParameters.model_validate(wrong)


def test_the_dancing_bonus_is_that_of_december_2024_unless_chosen_otherwise():
    assert DEFAULTS[FormulaName.JOBS].dancing.bonus == Decimal("0.3")
    assert DEFAULTS[FormulaName.SECONDS].dancing.bonus == Decimal("0.3")
    assert DEFAULTS[FormulaName.ALLOWANCE].dancing.bonus == Decimal("0.1")
