"""Facts, parameters and scores as a file: recorded on one machine, recomputed on any other."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compute_horde import signing
from compute_horde.errors import ComputeHordeError
from validator.scoring.exact import exact
from validator.scoring.facts import CycleFacts
from validator.scoring.formulas import CycleScores, score_cycle
from validator.scoring.parameters import ScoringParameters

MAX_BYTES = 512 * 2**20
_FACTS: TypeAdapter[CycleFacts] = TypeAdapter(CycleFacts)


class RecordingError(ComputeHordeError):
    """A recording that cannot be used; the message says where and why."""


def facts_json(facts: CycleFacts) -> str:
    """The facts as JSON: equal facts have equal bytes.

    Raises:
        ValueError: a number has too many digits to be read back unchanged.
    """
    return signing.compact_json(_plain(facts)).decode()


def read_facts(text: str | bytes) -> CycleFacts:
    """The facts of `facts_json`, unchanged. Raises `RecordingError`."""
    return _facts(_parsed(text))


def read_parameters(text: str | bytes) -> ScoringParameters:
    """The parameters of `ScoringParameters.canonical_json`. Raises `RecordingError`."""
    return _parameters(_parsed(text))


def recording(facts: CycleFacts, scores: CycleScores) -> str:
    """A file with everything that a replay needs, and the scores that it has to give."""
    document = {
        "facts": _plain(facts),
        "parameters": scores.parameters.model_dump(mode="json"),
        "scores": scores.as_json(),
    }
    return signing.compact_json(document).decode()


def replay(text: bytes) -> tuple[CycleScores, bool]:
    """Recompute the scores of a recording, and whether they are those that it holds.

    Raises:
        RecordingError: the file is not a recording.
    """
    if len(text) > MAX_BYTES:
        raise RecordingError(f"the file is over {MAX_BYTES} bytes")
    document = _parsed(text)
    if not isinstance(document, dict) or not {"facts", "parameters", "scores"} <= document.keys():
        raise RecordingError("the file must be a JSON object with facts, parameters and scores")
    try:
        scores = score_cycle(_facts(document["facts"]), _parameters(document["parameters"]))
    except ValueError as exc:
        raise RecordingError(f"the facts cannot be scored: {exc}") from None
    return scores, scores.as_json() == document["scores"]


def _facts(value: Any) -> CycleFacts:
    try:
        return _FACTS.validate_python(value)
    except ValidationError as exc:
        raise RecordingError(f"facts: {_first(exc)}") from None


def _parameters(value: Any) -> ScoringParameters:
    try:
        return ScoringParameters.model_validate(value)
    except ValidationError as exc:
        raise RecordingError(f"parameters: {_first(exc)}") from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except RecursionError:
        raise RecordingError("the file is nested too deeply") from None
    except ValueError as exc:
        raise RecordingError(f"the file is not JSON: {exc}") from None


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return _number(value) if isinstance(value, Fraction) else value


def _number(value: Fraction) -> int | float:
    if value.denominator == 1:
        return value.numerator
    number = float(value)
    if exact(number) != value:
        raise ValueError(f"{value} has too many digits for a JSON number")
    return number
