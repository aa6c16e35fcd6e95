"""Files of cases: a JSON object with `source`, `meaning` and `cases`, whose outputs are filled in.

Fields of the file itself, such as the parameters of all its cases, are inputs of each case too.
"""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from compute_horde.errors import ComputeHordeError
from validator.scoring.cases.blocks import (
    CommitRevealCase,
    CyclesCase,
    ReceiptPageCase,
    ScoringCycleCase,
)
from validator.scoring.cases.cycle import JobsCase, PaidAllowanceCase, SecondsCase
from validator.scoring.cases.form import CaseForm
from validator.scoring.cases.weights import (
    BurnCase,
    ClassWeightingCase,
    HordeScoreCase,
    MainHotkeySplitCase,
    SetWeightsCase,
    SigmoidCase,
    U16Case,
    WeightsPerUidCase,
)
from validator.scoring.cases.work import (
    AllowanceCase,
    ExcusesCase,
    ReliabilityCase,
    SpendingCase,
)
from validator.scoring.exact import exact

MAX_BYTES = 64 * 2**20
MAX_CASES = 100_000

# By the stem of the file's name.
KINDS: dict[str, type[CaseForm]] = {
    "allowance": PaidAllowanceCase,
    "allowance_accrual": AllowanceCase,
    "burn": BurnCase,
    "class_weighting": ClassWeightingCase,
    "commit_reveal": CommitRevealCase,
    "cycles": CyclesCase,
    "excuses": ExcusesCase,
    "horde_score": HordeScoreCase,
    "jobs": JobsCase,
    "main_hotkey_split": MainHotkeySplitCase,
    "receipt_page_of_time": ReceiptPageCase,
    "routing_reliability": ReliabilityCase,
    "scoring_cycle": ScoringCycleCase,
    "seconds": SecondsCase,
    "set_weights_u16": SetWeightsCase,
    "sigmoid": SigmoidCase,
    "spending": SpendingCase,
    "u16_max_normalisation": U16Case,
    "weights_per_uid": WeightsPerUidCase,
}


class CaseFileError(ComputeHordeError):
    """The file of cases cannot be used; the message says where and why."""


def kinds() -> list[str]:
    """A line for each kind: its name and what it is."""
    width = max(map(len, KINDS))
    return [
        f"{name:{width}}  {(form.__doc__ or '').splitlines()[0]}"
        for name, form in sorted(KINDS.items())
    ]


def filled(kind: str, text: bytes) -> str:
    """The file with the outputs of every case, as JSON with sorted keys on one line.

    Raises:
        CaseFileError: an unknown kind, or a file that cannot be used.
    """
    if kind not in KINDS:
        raise CaseFileError(f"unknown formula {kind!r}; known are {', '.join(sorted(KINDS))}")
    document = _parsed(text)
    shared = {name: value for name, value in document.items() if name != "cases"}
    document["cases"] = [
        {**case, **_outputs(KINDS[kind], shared, case, number)}
        for number, case in enumerate(document["cases"], 1)
    ]
    return json.dumps(document, sort_keys=True, default=_float)


def _parsed(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise CaseFileError(f"the file is over {MAX_BYTES} bytes")
    try:
        document = json.loads(text, parse_float=_decimal, parse_constant=_decimal)
    except UnicodeDecodeError:
        raise CaseFileError("the file is not UTF-8 text") from None
    except RecursionError:
        raise CaseFileError("the file is nested too deeply") from None
    except ValueError as exc:
        raise CaseFileError(f"the file is not JSON: {exc}") from None
    return _checked(document)


def _checked(document: Any) -> dict[str, Any]:
    cases = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(cases, list):
        raise CaseFileError("the file must be a JSON object with a list named cases")
    if len(cases) > MAX_CASES:
        raise CaseFileError(f"the file has over {MAX_CASES} cases")
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict):
            raise CaseFileError(f"case {number} is no JSON object")
    return document


def _outputs(
    form: type[CaseForm], shared: dict[str, Any], case: dict[str, Any], number: int
) -> dict[str, Any]:
    try:
        return form.model_validate({**shared, **case}).outputs()
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the case"
        raise CaseFileError(f"case {number}: {place}: {first['msg']}") from None
    except ValueError as exc:
        raise CaseFileError(f"case {number}: {exc}") from None


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    exact(number)
    return number


def _float(value: Any) -> float:
    """Exact numbers as JSON numbers; raises `TypeError` for what is no number."""
    if isinstance(value, Fraction | Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
