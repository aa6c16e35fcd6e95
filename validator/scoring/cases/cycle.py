"""Cases of the three formulas: the facts of a cycle, and the parameters to score it with."""

from typing import Any

from pydantic import Field

from validator.scoring.cases.form import CaseForm
from validator.scoring.facts import CycleFacts
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import DEFAULTS, FormulaName, ScoringParameters


class _CycleCase(CaseForm):
    facts: CycleFacts
    # Only what differs from the newest version of the formula.
    parameters: dict[str, Any] = Field(default={})

    def scored(self, formula: FormulaName) -> dict[str, Any]:
        """The shares of the cycle and what explains them."""
        given = {**self.parameters, "formula": formula}
        merged = _merged(DEFAULTS[formula].model_dump(mode="json"), given)
        return {
            "expected": score_cycle(self.facts, ScoringParameters.model_validate(merged)).as_json()
        }


class JobsCase(_CycleCase):
    """A cycle that the formula `jobs` scores."""

    def outputs(self) -> dict[str, Any]:
        """The shares."""
        return self.scored(FormulaName.JOBS)


class SecondsCase(_CycleCase):
    """A cycle that the formula `seconds` scores."""

    def outputs(self) -> dict[str, Any]:
        """The shares."""
        return self.scored(FormulaName.SECONDS)


class PaidAllowanceCase(_CycleCase):
    """A cycle that the formula `allowance` scores."""

    def outputs(self) -> dict[str, Any]:
        """The shares."""
        return self.scored(FormulaName.ALLOWANCE)


def _merged(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`known` with the values of `given`; groups of parameters are merged, maps replaced."""
    return {
        **known,
        **{
            name: {**known[name], **value}
            if isinstance(value, dict) and name in known and name != "class_weights"
            else value
            for name, value in given.items()
        },
    }
