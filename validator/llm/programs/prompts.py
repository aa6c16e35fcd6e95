"""The program of the image llm-prompts: writes series of prompts into /output.

python -m validator.llm.programs.prompts --uuids A,B --number_of_prompts_per_batch 240
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from validator.llm.programs.answer_file import prompts_text
from validator.llm.programs.completion import LanguageModel
from validator.llm.programs.runtime import WEIGHTS, NoRuntimeError, open_model
from validator.llm.programs.sampling import Sampling

OUTPUT = Path("/output")
# How a prompt begins, and the model writes on.
OPENINGS = (
    "Explain to a child how",
    "Write a short story about",
    "Compare",
    "List five reasons for",
    "Summarize the history of",
    "Write an email to a colleague about",
    "Describe step by step how to",
    "Argue for and against",
    "Write a poem on",
    "Which questions would you ask about",
    "Plan a week of",
    "Translate into plain words:",
)
TEMPERATURE, TOP_P = 1.0, 0.95
# Each prompt is tried so often before the series is given up.
TRIES = 50


def main(arguments: Sequence[str]) -> int:
    """Write a file for each UUID; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        model = open_model(asked.model_name, asked.quantize, weights=asked.weights)
    except NoRuntimeError as exc:
        print(exc, file=sys.stderr)
        return 1
    drawn = random.Random() if asked.seed is None else random.Random(asked.seed)
    for uuid in asked.uuids.split(","):
        prompts = new_series(
            model,
            drawn,
            count=asked.number_of_prompts_per_batch,
            batch_size=asked.batch_size,
            max_tokens=asked.max_new_tokens,
        )
        (asked.output / f"prompts_{uuid}.txt").write_bytes(prompts_text(prompts))
        print(f"prompts_{uuid}.txt: {len(prompts)} prompts", flush=True)
    return 0


def new_series(
    model: LanguageModel, drawn: random.Random, *, count: int, batch_size: int, max_tokens: int
) -> list[str]:
    """So many different prompts, each of one line."""
    prompts: dict[str, None] = {}
    for _ in range(TRIES):
        missing = count - len(prompts)
        if not missing:
            break
        sampling = Sampling(TEMPERATURE, TOP_P, max_tokens)
        begun = [drawn.choice(OPENINGS) for _ in range(missing)]
        for first in range(0, missing, batch_size):
            part = begun[first : first + batch_size]
            seeds = [drawn.getrandbits(32) for _ in part]
            for opening, made in zip(part, model.complete(part, seeds, sampling), strict=True):
                prompts[" ".join([opening, *made.text.split()])] = None
    if len(prompts) < count:
        raise RuntimeError(f"the model makes too few different prompts: {len(prompts)} of {count}")
    return list(prompts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm-prompts", description=__doc__)
    parser.add_argument("--uuids", required=True, help="of the series, separated by commas")
    parser.add_argument("--model_name", default="tiny")
    parser.add_argument("--quantize", default="none", help="none, int8 or int4")
    parser.add_argument("--batch_size", type=int, default=250)
    parser.add_argument("--num_return_sequences", type=int, choices=[1], default=1)
    parser.add_argument("--max_new_tokens", type=int, default=40)
    parser.add_argument("--number_of_prompts_per_batch", type=int, default=240)
    parser.add_argument("--seed", type=int, help="unset: a random one")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
