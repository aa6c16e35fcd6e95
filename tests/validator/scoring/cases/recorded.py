"""The recorded cases of the published network, and comparison with what the command computes."""

import json
import math
from pathlib import Path
from typing import Any

from validator.scoring.cases.files import filled

FOLDER = Path(__file__).parent.parent / "vectors"
RELATIVE = 1e-6


def recorded(kind: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{kind}.json").read_text())


def stripped(document: dict[str, Any], *outputs: str) -> bytes:
    """The file without the outputs of its cases."""
    cases = [
        {name: value for name, value in case.items() if name not in outputs}
        for case in document["cases"]
    ]
    return json.dumps({**document, "cases": cases}).encode()


def assert_agrees(kind: str, *outputs: str) -> None:
    """Every case of the kind has the recorded outputs, computed from its inputs alone."""
    document = recorded(kind)
    computed = json.loads(filled(kind, stripped(document, *outputs)))
    assert len(document["cases"]) == len(computed["cases"]) > 0
    for number, (expected, found) in enumerate(
        zip(document["cases"], computed["cases"], strict=True), 1
    ):
        for name in outputs:
            assert is_close(found[name], expected[name]), (number, name, expected, found)


def is_close(found: Any, expected: Any) -> bool:
    match expected:
        case dict():
            return found.keys() == expected.keys() and all(
                is_close(found[key], value) for key, value in expected.items()
            )
        case list():
            return len(found) == len(expected) and all(map(is_close, found, expected))
        case float():
            return math.isclose(found, expected, rel_tol=RELATIVE)
    return bool(found == expected)
