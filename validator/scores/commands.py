"""The commands `explain` and `export` of `python -m validator`."""

import argparse
import json
import sys

from compute_horde.errors import ConfigurationError
from validator.scores.actions import exported
from validator.scores.documents import as_text
from validator.scores.models import Score, ScoredCycle


def explain(arguments: list[str]) -> None:
    """Print why a miner earned what it earned.

    Raises:
        ConfigurationError: there is no such score.
    """
    parser = argparse.ArgumentParser(
        prog="python -m validator explain", description="Why a miner's share is what it is."
    )
    parser.add_argument("hotkey", help="the miner's SS58 address")
    parser.add_argument("--cycle", type=int, metavar="BLOCK", help="its first block; default: last")
    parser.add_argument("--json", action="store_true", help="the signed document")
    given = parser.parse_args(arguments)
    scores = Score.objects.filter(hotkey=given.hotkey).select_related("cycle")
    if given.cycle is not None:
        scores = scores.filter(cycle__cycle_start=given.cycle)
    score = scores.order_by("-cycle__cycle_start").first()
    if score is None:
        raise ConfigurationError(_nothing(given.hotkey, given.cycle))
    if given.json:
        answer = {"document": score.document, "signature": score.signature}
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    sys.stdout.write(as_text(json.loads(score.document)) + "\n")


def export(arguments: list[str]) -> None:
    """Print the facts, parameters and scores of a cycle, for `replay` on any machine.

    Raises:
        ConfigurationError: the cycle is not scored.
    """
    parser = argparse.ArgumentParser(
        prog="python -m validator export", description="Everything that a cycle's scores come from."
    )
    parser.add_argument("--cycle", type=int, metavar="BLOCK", help="its first block; default: last")
    given = parser.parse_args(arguments)
    cycles = ScoredCycle.objects.all()
    if given.cycle is not None:
        cycles = cycles.filter(cycle_start=given.cycle)
    cycle = cycles.first()
    if cycle is None:
        raise ConfigurationError(_not_scored(given.cycle))
    sys.stdout.write(exported(cycle) + "\n")


def _nothing(hotkey: str, cycle: int | None) -> str:
    if cycle is not None and not ScoredCycle.objects.filter(cycle_start=cycle).exists():
        return _not_scored(cycle)
    if cycle is None and not ScoredCycle.objects.exists():
        return _not_scored(None)
    return f"{hotkey} was not registered when {'any' if cycle is None else 'that'} cycle was scored"


def _not_scored(cycle: int | None) -> str:
    newest = ScoredCycle.objects.values_list("cycle_start", flat=True)[:5]
    if not newest:
        return "no cycle is scored yet: a cycle is scored when the weights for it are due"
    known = ", ".join(map(str, newest))
    return f"no scored cycle begins in block {cycle}; the newest are {known}"
