"""The tiny model: the same answers in any batch, with any cache, on any machine."""

import hashlib

import pytest

from validator.llm.programs import tiny_model
from validator.llm.programs.sampling import Sampling
from validator.llm.programs.tiny_model import VOCABULARY, TinyModel, piece, tokens_of

SAMPLING = Sampling(max_tokens=8, trace=4)
# Of the answers below; the same with CPython 3.10 to 3.13.
DIGEST = "cd611e4efa43d2f5dca496fc47a20beeab9d41e9a6d5e62efcd005907a4ae705"
PROMPTS = [f"Write a poem on {word} and bread" for word in map(str, range(44))]


@pytest.fixture(scope="module")
def alone() -> list[str]:
    """The answers when each prompt is a batch of its own, with a cold cache."""
    return [TinyModel().complete([one], [7], SAMPLING)[0].text for one in PROMPTS]


def test_batches_of_1_and_of_44_give_the_same_answers(alone: list[str]) -> None:
    together = TinyModel().complete(PROMPTS, [7] * 44, SAMPLING)
    assert [one.text for one in together] == alone
    assert len(set(alone)) > 35


def test_cold_and_warm_caches_give_the_same_answers(
    alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_model, "CACHED_STATES", 50)
    model = TinyModel()
    for order in (PROMPTS, PROMPTS[::-1]):
        warm = {one: model.complete([one], [7], SAMPLING)[0].text for one in order}
        assert [warm[one] for one in PROMPTS] == alone
        assert 0 < len(model._cache) <= 50


def test_the_answers_are_those_of_every_other_machine(alone: list[str]) -> None:
    digest = hashlib.sha256("\n".join(alone).encode()).hexdigest()
    assert digest == DIGEST


@pytest.mark.parametrize(
    "other", [TinyModel("another"), TinyModel(quantize="int8"), TinyModel(quantize="int4")]
)
def test_another_model_or_quantisation_answers_otherwise(
    other: TinyModel, alone: list[str]
) -> None:
    answers = [one.text for one in other.complete(PROMPTS, [7] * 44, SAMPLING)]
    assert sum(a != b for a, b in zip(answers, alone, strict=True)) >= 4


def test_each_prompt_has_its_own_seed(alone: list[str]) -> None:
    seeds = [7, *range(100, 143)]
    answers = [one.text for one in TinyModel().complete(PROMPTS, seeds, SAMPLING)]
    assert answers[0] == alone[0]
    assert sum(a != b for a, b in zip(answers[1:], alone[1:], strict=True)) > 35


def test_a_trace_begins_with_what_was_chosen() -> None:
    (made,) = TinyModel().complete(PROMPTS[:1], [7], SAMPLING)
    assert "".join(step[0][0] for step in made.trace) == made.text
    assert all(step[0][1] == 0.0 for step in made.trace)
    (without,) = TinyModel().complete(PROMPTS[:1], [7], Sampling(max_tokens=8))
    assert (without.text, without.trace) == (made.text, [])


def test_no_word_begins_another_and_words_are_their_own_tokens() -> None:
    words = [piece(token) for token in range(1, VOCABULARY)]
    assert len(set(words)) == VOCABULARY - 1
    assert {len(word) for word in words} == {5}
    assert tokens_of("".join(words)) == list(range(1, VOCABULARY))
    assert all(0 < token < VOCABULARY for token in tokens_of("How are you? żółw"))
