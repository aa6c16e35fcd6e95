"""The three formulas score cycles that are written down as cases."""

import json
from typing import Any

import pytest

from validator.scoring.cases.files import CaseFileError, filled
from validator.scoring.parameters import FormulaName

LLM = "always_on.llm.a6000"
FACTS: dict[str, Any] = {
    "cycle_start": 708,
    "miners": [{"hotkey": "a", "uid": 0}, {"hotkey": "b", "uid": 1}],
    "jobs": [
        {
            "job_uuid": f"{number}",
            "hotkey": hotkey,
            "executor_class": LLM,
            "outcome": "completed",
            "seconds": 10.5,
        }
        for number, hotkey in enumerate("aaab")
    ],
    "blocks": [
        {"number": number, "length": 12, "stakes": {"us": 1, "them": 3}} for number in range(9)
    ],
    "manifests": [
        {"hotkey": hotkey, "executor_class": LLM, "block": 0, "count": 4} for hotkey in "ab"
    ],
    "receipts": [
        {
            "job_uuid": f"{hotkey}{blocks}",
            "validator": "us",
            "hotkey": hotkey,
            "executor_class": LLM,
            "at": 100,
            "started_block": 8,
            "cost": 12 * len(blocks),
            "blocks": blocks,
        }
        for hotkey, blocks in (("a", [1, 2]), ("a", [3]), ("b", [1]))
    ],
}


def scored(formula, facts=FACTS, **parameters):
    case = {"facts": facts, "parameters": parameters}
    (found,) = json.loads(filled(formula, json.dumps({"cases": [case]}).encode()))["cases"]
    return found["expected"]


@pytest.mark.parametrize("formula", FormulaName)
def test_every_formula_scores_a_cycle(formula):
    expected = scored(formula, dancing={"kind": "none"})
    assert [miner["share"] for miner in expected["miners"]] == ["0.75", "0.25"]
    assert expected["parameters"]["version"] == f"{formula}-1"


def test_parameters_of_a_case_replace_single_ones():
    expected = scored("jobs", version="mine", burn={"rate": 0.5, "targets": ["b"]})
    assert expected["parameters"]["version"] == "mine"
    assert expected["parameters"]["burn"]["partition"] == "0"
    assert expected["main_burner"] == "b"


def test_wrong_parameters_and_contradictory_facts_are_refused():
    with pytest.raises(CaseFileError, match=r"case 1: burn.rate: .*less than or equal to 1"):
        scored("jobs", burn={"rate": 2})
    twice = {**FACTS, "miners": FACTS["miners"] * 2}
    with pytest.raises(CaseFileError, match="hotkey a is there twice"):
        scored("jobs", twice)
