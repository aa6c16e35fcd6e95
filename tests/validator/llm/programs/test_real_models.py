"""Models of real runtimes, by stand-ins that behave as their documentation says."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from validator.llm.programs.real_models import LlamaCppModel, VllmModel
from validator.llm.programs.sampling import Sampling, choose, noise_key

WORDS = ["", " a", " b", " c", " d"]
END = 0


class Logits(list[float]):
    """As much of an array of numpy as the processor uses."""

    def argsort(self) -> list[int]:
        return sorted(range(len(self)), key=self.__getitem__)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            value = [value] * len(self)
        super().__setitem__(key, value)


class Llama:
    """Greedy decoding over fixed logits, through the logits processors."""

    def __init__(self, **given: Any) -> None:
        self.given = given

    def token_eos(self) -> int:
        return END

    def detokenize(self, tokens: list[int]) -> bytes:
        return "".join(WORDS[token] for token in tokens).encode()

    def create_completion(self, prompt: str, *, max_tokens: int, temperature: float, **given: Any):
        assert temperature == 0.0
        text = ""
        for _ in range(max_tokens):
            logits = Logits([0.1, 1.0, 1.1, 0.9, -9.0])
            for processor in given["logits_processor"]:
                logits = processor([], logits)
            token = max(range(len(logits)), key=logits.__getitem__)
            if token == END:
                break
            text += WORDS[token]
        return {"choices": [{"text": text}]}


def test_llama_cpp_chooses_by_the_shared_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(Llama=Llama, LogitsProcessorList=list)
    monkeypatch.setitem(sys.modules, "llama_cpp", library)
    model = LlamaCppModel(Path("weights/model.gguf"), is_deterministic=True)
    assert (model.name, model.is_deterministic) == ("model", True)
    sampling = Sampling(max_tokens=6, trace=3)
    made = model.complete(["one", "two"], [5, 5], sampling)
    assert made[0].text != made[1].text
    pairs = list(enumerate([0.1, 1.0, 1.1, 0.9, -9.0]))
    for prompt, one in zip(["one", "two"], made, strict=True):
        key = noise_key(5, prompt)
        chosen = [choose(pairs, sampling, key, n)[0].token for n in range(len(one.trace))]
        assert "".join(WORDS[token] for token in chosen) == one.text
        assert [step[0][0] for step in one.trace] == [WORDS[token] for token in chosen]


def test_vllm_gets_a_seed_for_each_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def generate(prompts: list[str], parameters: list[Any], *, use_tqdm: bool) -> list[Any]:
        asked.extend(parameters)
        return [SimpleNamespace(outputs=[SimpleNamespace(text=f"to {one}")]) for one in prompts]

    library = SimpleNamespace(
        LLM=lambda **given: SimpleNamespace(generate=generate),
        SamplingParams=lambda **given: SimpleNamespace(**given),
    )
    monkeypatch.setitem(sys.modules, "vllm", library)
    model = VllmModel(Path("weights"), is_deterministic=False)
    made = model.complete(["one", "two", "one"], [5, 5, 6], Sampling(max_tokens=6))
    assert [one.text for one in made] == ["to one", "to two", "to one"]
    assert len({one.seed for one in asked}) == 3
    assert {(one.max_tokens, one.top_p) for one in asked} == {(6, 0.8)}
