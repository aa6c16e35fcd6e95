"""Language models of real runtimes: llama.cpp by its Python binding, or vLLM; both are optional."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from validator.llm.programs.completion import Completion, Trace
from validator.llm.programs.sampling import Candidate, Sampling, choose, noise_key

# Of a large vocabulary, so many tokens may be chosen.
MOST_CANDIDATES = 1024
CONTEXT_TOKENS = 4096


class LlamaCppModel:
    """A model of llama.cpp, from one file of the format GGUF."""

    def __init__(self, weights: Path, *, is_deterministic: bool) -> None:
        self._library = import_module("llama_cpp")
        self._model = self._library.Llama(
            model_path=str(weights), n_ctx=CONTEXT_TOKENS, n_gpu_layers=-1, seed=0, verbose=False
        )
        self.name = weights.stem
        self.is_deterministic = is_deterministic

    def complete(
        self, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """A completion of each prompt, one after the other."""
        keys = map(noise_key, seeds, prompts)
        return [
            self._complete(prompt, key, sampling) for prompt, key in zip(prompts, keys, strict=True)
        ]

    def _complete(self, prompt: str, key: bytes, sampling: Sampling) -> Completion:
        chooser = _TokenChooser(key, sampling)
        made = self._model.create_completion(
            prompt,
            max_tokens=sampling.max_tokens,
            # The only token that the processor leaves is the chosen one.
            temperature=0.0,
            logits_processor=self._library.LogitsProcessorList([chooser]),
        )
        trace = [[(self._piece(one.token), one.margin) for one in found] for found in chooser.found]
        return Completion(made["choices"][0]["text"], trace if sampling.trace else [])

    def _piece(self, token: int) -> str:
        if token == self._model.token_eos():
            return ""
        text: str = self._model.detokenize([token]).decode("utf-8", "replace")
        return text


class _TokenChooser:
    """A logits processor that chooses the token itself and leaves no other."""

    def __init__(self, key: bytes, sampling: Sampling) -> None:
        self._key, self._sampling = key, sampling
        self.found: list[list[Candidate]] = []

    def __call__(self, tokens: Any, logits: Any) -> Any:
        del tokens
        most = min(MOST_CANDIDATES, len(logits))
        best = logits.argsort()[-most:]
        pairs = [(int(token), float(logits[token])) for token in best]
        found = choose(pairs, self._sampling, self._key, len(self.found))
        self.found.append(found)
        logits[:] = -float("inf")
        logits[found[0].token] = 0.0
        return logits


class VllmModel:
    """A model of vLLM, from a folder as Hugging Face has them.

    vLLM samples by itself, by a seed for each prompt, so there is no trace: use it where it is
    deterministic, which its batch-invariant mode provides.
    """

    def __init__(self, weights: Path, *, is_deterministic: bool) -> None:
        self._library = import_module("vllm")
        self._model = self._library.LLM(model=str(weights), seed=0)
        self.name = weights.name
        self.is_deterministic = is_deterministic

    def complete(
        self, prompts: Sequence[str], seeds: Sequence[int], sampling: Sampling
    ) -> list[Completion]:
        """A completion of each prompt, all at once."""
        asked = [self._parameters(key, sampling) for key in map(noise_key, seeds, prompts)]
        made = self._model.generate(list(prompts), asked, use_tqdm=False)
        no_trace: Trace = []
        return [Completion(one.outputs[0].text, no_trace) for one in made]

    def _parameters(self, key: bytes, sampling: Sampling) -> Any:
        return self._library.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=int.from_bytes(key[:4], "big"),
        )
