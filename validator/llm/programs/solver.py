"""The program of the image llm-solver: answers a file of prompts, by a seed.

Buffered: `solver --seed N FILE` writes /output/NAME.json and prints its SHA-256; with `--seeds`
each prompt has its own seed.
Streaming: `solver --server FILE` loads the model and waits for the seed at /execute-job.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from validator.llm.programs.answer_file import answers_text, digest, read_prompts, trace_text
from validator.llm.programs.completion import Completion, LanguageModel
from validator.llm.programs.runtime import WEIGHTS, NoRuntimeError, open_model
from validator.llm.programs.sampling import Sampling
from validator.llm.programs.seed_server import PORT, SeedServer

OUTPUT = Path("/output")
BATCH_SIZE = 44


def main(arguments: Sequence[str]) -> int:
    """Answer the prompts now, or when the seed comes; the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    given = (asked.server, asked.seed is not None, asked.seeds is not None)
    if sum(given) != 1:
        parser.error("give one of --seed, --seeds and --server")
    try:
        model = open_model(
            asked.model_name,
            asked.quantize,
            weights=asked.weights,
            is_deterministic=asked.deterministic,
        )
    except NoRuntimeError as exc:
        print(exc, file=sys.stderr)
        return 1
    solver = Solver(model, asked)
    if asked.server:
        SeedServer(("0.0.0.0", asked.port), solver.solve).serve_until_ended()
    else:
        print(solver.solve(asked.seed)[asked.input.stem], flush=True)
    return 0


class Solver:
    """Answers the prompts of one file with one model."""

    def __init__(self, model: LanguageModel, asked: argparse.Namespace) -> None:
        self._model, self._asked = model, asked
        self._prompts = read_prompts(asked.input.read_bytes())
        self._sampling = Sampling(
            asked.temperature, asked.top_p, asked.max_tokens, trace=asked.trace
        )

    def solve(self, seed: int | None) -> dict[str, str]:
        """Write the answers; returns the SHA-256 of their file by its name.

        Without a seed each prompt has its own, from a file.
        """
        asked, seeds = self._asked, self._seeds(seed)
        completions: dict[str, Completion] = {}
        for first in range(0, len(self._prompts), asked.batch_size):
            part = self._prompts[first : first + asked.batch_size]
            some = seeds[first : first + asked.batch_size]
            completed = self._model.complete(part, some, self._sampling)
            completions |= dict(zip(part, completed, strict=True))
        content = answers_text({prompt: one.text for prompt, one in completions.items()})
        name = asked.input.stem
        (asked.output / f"{name}.json").write_bytes(content)
        if asked.trace:
            traces = {prompt: one.trace for prompt, one in completions.items() if one.trace}
            about = trace_text(
                self._model.name, traces, is_deterministic=self._model.is_deterministic
            )
            (asked.output / f"{name}.trace.json").write_bytes(about)
        return {name: digest(content)}

    def _seeds(self, seed: int | None) -> list[int]:
        if seed is not None:
            return [seed] * len(self._prompts)
        seeds = [int(line) for line in self._asked.seeds.read_text().split()]
        if len(seeds) != len(self._prompts):
            raise ValueError(f"{len(seeds)} seeds for {len(self._prompts)} prompts")
        return seeds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm-solver", description=__doc__)
    parser.add_argument("input", type=Path, help="a file with a prompt per line")
    parser.add_argument("--seed", type=int, help="of all prompts")
    parser.add_argument("--seeds", type=Path, help="a file with a seed for each prompt per line")
    parser.add_argument("--server", action="store_true", help="wait for the seed on a port")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--top-p", type=float, default=0.8)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--trace", type=int, default=0, help="candidates to record at each token")
    parser.add_argument("--model_name", default="tiny")
    parser.add_argument("--quantize", default="none", help="none, int8 or int4")
    parser.add_argument(
        "--deterministic", action="store_true", help="declare that the runtime is, on this GPU"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
