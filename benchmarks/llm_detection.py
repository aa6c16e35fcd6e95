"""Measures how often the tolerant check of the kind `llm` finds other answers than honest ones.

python -m benchmarks.llm_detection [PROMPTS]

A trusted model answers prompts with traces. Others answer the same prompts: honest ones whose
numbers are rounded differently, as another kernel or GPU does it, and dishonest ones with another
seed, quantisation or model. For each tolerance it prints which part of the answers, and of jobs
with several checked answers, is taken for wrong: of honest ones that is the rate of false alarms.
"""

import json
import random
import struct
import sys
import time
from collections.abc import Callable, Sequence

from validator.llm.programs.sampling import Sampling
from validator.llm.programs.tiny_model import State, TinyModel
from validator.synthetic.kinds.llm_check import compare

PROMPTS = 200
CHECKED_IN_JOB = (1, 4)
DRAWN_JOBS = 5000
TOLERANCES = (0.01, 0.05, 0.1, 0.25, 0.5)
SAMPLING = Sampling(temperature=0.5, top_p=0.8, max_tokens=48, trace=8)
SEED, OTHER_SEED = 7, 8
HONEST = "honest"
# At the default tolerance of the kind.
DEFAULT_TOLERANCE = 0.05
MOST_FALSE_ALARMS = 0.005
LEAST_FOUND = {"other seed": 0.95, "other model": 0.95, "int4": 0.6}


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
    for name, (model, seed) in OTHERS.items():
        made = model.complete(prompts, [seed] * count, SAMPLING)
        found = [compare(one.text, trace) for one, trace in zip(made, traces, strict=True)]
        margins = [one.margin for one in found]
        rates = {tolerance: _rates(margins, tolerance) for tolerance in TOLERANCES}
        figures = {
            "answers": name,
            "differing": round(sum(margin > 0 for margin in margins) / count, 3),
            "tokens_compared": sum(one.tokens for one in found),
            "median_margin_of_differing": _median([margin for margin in margins if margin > 0]),
            "found_wrong_by_tolerance": rates,
        }
        print(json.dumps(figures), flush=True)
        rate = rates[DEFAULT_TOLERANCE]["of 1"]
        failed |= name.startswith(HONEST) and rate > MOST_FALSE_ALARMS
        failed |= rate < LEAST_FOUND.get(name, 0)
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "prompts": count}))
    return int(failed)


def _rates(margins: Sequence[float], tolerance: float) -> dict[str, float]:
    """The part of jobs that are found wrong, by how many of their answers are checked."""
    rng, rates = random.Random(1), {}
    for checked in CHECKED_IN_JOB:
        jobs = [rng.sample(margins, checked) for _ in range(DRAWN_JOBS)]
        wrong = sum(max(job) > tolerance for job in jobs)
        rates[f"of {checked}"] = round(wrong / len(jobs), 4)
    return rates


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
