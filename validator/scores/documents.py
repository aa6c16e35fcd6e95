"""The explanation of a score: a signed document, and the same as text."""

from collections.abc import Iterator, Mapping
from typing import Any

from compute_horde import signing
from validator.scoring.formulas import CycleScores

CONTEXT = "score"


def documents(
    scores: CycleScores, *, validator: str, cycle_start: int, cycle_stop: int
) -> dict[str, str]:
    """The document of each miner by hotkey: JSON with sorted keys, in the bytes that are signed."""
    document = scores.as_json()
    shared = {
        "validator": validator,
        "cycle_start": cycle_start,
        "cycle_stop": cycle_stop,
        "formula": scores.parameters.formula.value,
        "version": scores.parameters.version,
        "type": CONTEXT,
    }
    return {
        miner["hotkey"]: signing.compact_json({**shared, **miner}).decode()
        for miner in document["miners"]
    }


def as_text(document: Mapping[str, Any]) -> str:
    """The document for people: the share, then one line for each item."""
    return "\n".join(_lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    blocks = f"blocks {document['cycle_start']} to {document['cycle_stop'] - 1}"
    yield f"{document['hotkey']} (uid {document['uid']}), work in {blocks}"
    yield f"formula {document['formula']}, parameters {document['version']}"
    yield f"share of all weights: {document['share']}, on the chain: {document['u16']} of 65535"
    for item in document["items"]:
        place = f" [{item['executor_class']}]" if item["executor_class"] else ""
        counted = f"{item['number']} {item['unit']}"
        yield f"  {item['amount']:>15}  {item['reason']}{place}: {counted}"
        if item["remedy"]:
            yield f"  {'':>15}  what would change it: {item['remedy']}"
