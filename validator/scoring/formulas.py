"""The formulas: each turns the facts of a cycle and parameters into shares that explain themselves.

The same facts and parameters give the same bytes on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compute_horde import signing
from validator.scoring.class_shares import scores
from validator.scoring.facts import CycleFacts
from validator.scoring.line_items import LineItem
from validator.scoring.parameters import FormulaName, ScoringParameters
from validator.scoring.points.allowance import allowance_points
from validator.scoring.points.class_points import ClassPoints
from validator.scoring.points.jobs import job_points
from validator.scoring.points.seconds import second_points
from validator.scoring.shares import MinerShare, burning, shares
from validator.scoring.units import DECIMALS, UNITS

POINTS: dict[FormulaName, Callable[[CycleFacts, ScoringParameters], list[ClassPoints]]] = {
    FormulaName.JOBS: job_points,
    FormulaName.SECONDS: second_points,
    FormulaName.ALLOWANCE: allowance_points,
}


@dataclass(frozen=True, slots=True)
class CycleScores:
    """The shares of a cycle, and the parameters that they were computed with."""

    parameters: ScoringParameters
    miners: tuple[MinerShare, ...]
    main_burner: str | None

    def as_json(self) -> dict[str, Any]:
        """The scores as JSON values; exact numbers are decimal texts."""
        return {
            "main_burner": self.main_burner,
            "miners": [_miner(miner) for miner in self.miners],
            "parameters": self.parameters.model_dump(mode="json"),
        }

    def canonical_json(self) -> str:
        """The scores as JSON: equal scores have equal bytes on every machine."""
        return signing.compact_json(self.as_json()).decode()


def score_cycle(facts: CycleFacts, parameters: ScoringParameters) -> CycleScores:
    """Score one cycle with the formula that `parameters` name."""
    points = POINTS[parameters.formula](facts, parameters)
    scored = scores(points, facts, parameters)
    _, main = burning(facts, parameters)
    return CycleScores(parameters, shares(scored, facts, parameters), main)


def decimal_text(number: Fraction) -> str:
    """The number with at most twelve decimals, rounded half to even."""
    units = round(number * UNITS)
    whole, decimals = divmod(abs(units), UNITS)
    text = f"{'-' if units < 0 else ''}{whole}.{decimals:0{DECIMALS}d}"
    return text.rstrip("0").rstrip(".")


def _miner(miner: MinerShare) -> dict[str, Any]:
    return {
        "hotkey": miner.hotkey,
        "uid": miner.uid,
        "share": decimal_text(miner.share),
        "u16": miner.u16,
        "items": [_item(item) for item in miner.items],
    }


def _item(item: LineItem) -> dict[str, Any]:
    return {
        "reason": item.reason,
        "executor_class": item.executor_class,
        "number": decimal_text(item.number),
        "unit": item.unit,
        "amount": decimal_text(item.amount),
        "remedy": item.remedy,
    }
