"""Measures how often the tolerant check of the kind `llm` finds other answers than honest ones.

python -m benchmarks.llm_detection [PROMPTS]

A trusted model answers prompts with traces. Others answer the same prompts: honest ones whose
numbers are rounded differently, as another kernel or GPU does it, and dishonest ones with another
seed, quantisation or model. For each tolerance it prints which part of the answers, and of jobs
with several checked answers, is taken for wrong: of honest ones that is the rate of false alarms.

Two attacks leave the trusted text on purpose, from some token on, at the first one of a margin that
the default tolerance permits: one ends there, the other one goes on with words that took no work.
"""

import json
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from validator.llm.programs.completion import Trace
from validator.llm.programs.sampling import Sampling
from validator.llm.programs.tiny_model import State, TinyModel
from validator.synthetic.kinds.llm_check import (
    TextComparison,
    Tolerance,
    compare,
    problem_of,
)

PROMPTS = 200
CHECKED_IN_JOB = (1, 4, 8, 16)
DRAWN_JOBS = 5000
TOLERANCES = (0.01, 0.05, 0.1, 0.25, 0.5)
SAMPLING = Sampling(temperature=0.5, top_p=0.8, max_tokens=48, trace=8)
SEED, OTHER_SEED = 7, 8
HONEST = "honest"
# At the default tolerance of the kind.
DEFAULT_TOLERANCE = Tolerance().margin
MOST_FALSE_ALARMS = 0.005
# By answers: of how many checked ones, and which part is found at least.
LEAST_FOUND = {
    "other seed": (1, 0.95),
    "other model": (1, 0.95),
    "int4": (1, 0.6),
    "attack: ends at token 0+": (8, 0.9),
    "attack: filled from token 0+": (8, 0.7),
}
ATTACKED_FROM = (0, 16, 32)
FILLING = " and so on" * 20


class RoundedModel(TinyModel):
    """The model with hidden states rounded to another precision after each token."""

    def __init__(self, round_number: Callable[[float], float]) -> None:
        super().__init__()
        self._round = round_number

    def next_state(self, state: State, token: int) -> State:
        return [self._round(number) for number in super().next_state(state, token)]


def float32(number: float) -> float:
    """Rounded to 24 bits."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


def bfloat16(number: float) -> float:
    """Rounded to 8 bits."""
    bits = struct.unpack("I", struct.pack("f", number))[0]
    rounded: float = struct.unpack("f", struct.pack("I", (bits + 0x8000) & 0xFFFF0000))[0]
    return rounded


def float16(number: float) -> float:
    """Rounded to 11 bits."""
    rounded: float = struct.unpack("e", struct.pack("e", number))[0]
    return rounded


OTHERS: dict[str, tuple[TinyModel, int]] = {
    "honest float32": (RoundedModel(float32), SEED),
    "honest float16": (RoundedModel(float16), SEED),
    "honest bfloat16": (RoundedModel(bfloat16), SEED),
    "int8": (TinyModel(quantize="int8"), SEED),
    "int4": (TinyModel(quantize="int4"), SEED),
    "other model": (TinyModel("another"), SEED),
    "other seed": (TinyModel(), OTHER_SEED),
}


def main(arguments: Sequence[str]) -> int:
    """Print a line of JSON for each kind of answers; the exit code tells whether rates are met."""
    count = int(arguments[0]) if arguments else PROMPTS
    prompts = [f"Describe step by step how to make {number} of them" for number in range(count)]
    began = time.perf_counter()
    traces = [one.trace for one in TinyModel().complete(prompts, [SEED] * count, SAMPLING)]
    failed = False
    for name, texts in _answers(prompts, traces):
        found = [compare(text, trace) for text, trace in zip(texts, traces, strict=True)]
        rates = {margin: _rates(found, Tolerance(margin)) for margin in TOLERANCES}
        print(json.dumps(_figures(name, found, rates)), flush=True)
        rate = rates[DEFAULT_TOLERANCE]
        if name.startswith(HONEST):
            failed |= max(rate.values()) > MOST_FALSE_ALARMS
        checked, least = LEAST_FOUND.get(name, (1, 0.0))
        failed |= rate[f"of {checked}"] < least
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "prompts": count}))
    return int(failed)


def _answers(prompts: Sequence[str], traces: Sequence[Trace]) -> Iterator[tuple[str, list[str]]]:
    """The answers of others, and of miners that save work."""
    for name, (model, seed) in OTHERS.items():
        made = model.complete(prompts, [seed] * len(prompts), SAMPLING)
        yield name, [one.text for one in made]
    for first in ATTACKED_FROM:
        yield f"attack: ends at token {first}+", [_cut(trace, first, "") for trace in traces]
    for first in ATTACKED_FROM:
        texts = [_cut(trace, first, FILLING) for trace in traces]
        yield f"attack: filled from token {first}+", texts


def _cut(trace: Trace, first: int, filling: str) -> str:
    """The trusted text until, at `first` or later, another token is permitted; then the filling."""
    text = ""
    for number, candidates in enumerate(trace):
        other, margin = candidates[1]
        if number >= first and margin <= DEFAULT_TOLERANCE:
            return text + other + (filling if other else "")
        text += candidates[0][0]
    return text


def _figures(
    name: str, found: Sequence[TextComparison], rates: dict[float, dict[str, float]]
) -> dict[str, object]:
    differing = [one.margin for one in found if one.margin > 0]
    tokens = sum(one.tokens for one in found)
    return {
        "answers": name,
        "differing": round(len(differing) / len(found), 3),
        "tokens_compared": tokens,
        "differing_of_1000_tokens": round(1000 * len(differing) / tokens, 2),
        "median_margin_of_differing": _median(differing),
        "found_wrong_by_tolerance": rates,
    }


def _rates(found: Sequence[TextComparison], tolerance: Tolerance) -> dict[str, float]:
    """The part of jobs that are found wrong, by how many of their answers are checked."""
    rng, rates = random.Random(1), {}
    for checked in CHECKED_IN_JOB:
        jobs = [rng.sample(found, checked) for _ in range(DRAWN_JOBS)]
        wrong = sum(bool(problem_of(job, tolerance)) for job in jobs)
        rates[f"of {checked}"] = round(wrong / len(jobs), 4)
    return rates


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
