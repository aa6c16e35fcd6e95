"""Cases of the three formulas: the facts of a cycle, and the parameters to score it with."""

from typing import Any

from pydantic import Field

from validator.scoring.cases.form import CaseForm
from validator.scoring.facts import CycleFacts
from validator.scoring.formulas import score_cycle
from validator.scoring.parameters import DEFAULTS, FormulaName, with_changes


class _CycleCase(CaseForm):
    facts: CycleFacts
    # Only what differs from the newest version of the formula.
    parameters: dict[str, Any] = Field(default={})

    def scored(self, formula: FormulaName) -> dict[str, Any]:
        """The shares of the cycle and what explains them."""
        parameters = with_changes(DEFAULTS[formula], {**self.parameters, "formula": formula})
        return {"expected": score_cycle(self.facts, parameters).as_json()}


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
