"""Comparing answers with trusted ones."""

from dataclasses import replace

import pytest

from validator.llm.programs.sampling import MOST_MARGIN, Sampling
from validator.llm.programs.tiny_model import TinyModel
from validator.llm.sample import CheckedPrompt
from validator.synthetic.kinds.llm_check import TextComparison, Tolerance, check, compare

TRACE = [
    [(" a", 0.0), (" b", 0.1), (" c", 3.0)],
    [(" d", 0.0), ("", 0.2), (" e", 0.4)],
    [("", 0.0), (" f", 0.3)],
]
SAMPLING = Sampling(max_tokens=24, trace=8)
PROMPTS = [f"Compare {number} and more" for number in range(12)]


@pytest.mark.parametrize(
    ("text", "tokens", "margin"),
    [
        (" a d", 3, 0.0),
        (" b d", 1, 0.1),
        (" c", 1, 3.0),
        (" a", 2, 0.2),
        (" a e anything", 2, 0.4),
        (" a d f", 3, 0.3),
        (" a d x", 3, MOST_MARGIN),
        (" x", 1, MOST_MARGIN),
        ("", 1, MOST_MARGIN),
    ],
)
def test_a_text_is_followed_to_its_first_difference(text: str, tokens: int, margin: float) -> None:
    found = compare(text, TRACE)
    assert (found.tokens, found.margin) == (tokens, margin)


def test_what_follows_a_text_that_ended_by_its_length_is_wrong() -> None:
    assert compare(" a d more", TRACE[:2]) == TextComparison(2, MOST_MARGIN)
    assert compare(" a d", TRACE[:2]) == TextComparison(2, 0.0)


def trusted(seed: int = 5) -> list[CheckedPrompt]:
    made = TinyModel().complete(PROMPTS, [seed] * len(PROMPTS), SAMPLING)
    return [CheckedPrompt(p, one.text, one.trace) for p, one in zip(PROMPTS, made, strict=True)]


def answers(model: TinyModel, seed: int = 5) -> dict[str, str]:
    made = model.complete(PROMPTS, [seed] * len(PROMPTS), replace(SAMPLING, trace=0))
    return {prompt: one.text for prompt, one in zip(PROMPTS, made, strict=True)}


@pytest.mark.parametrize("is_exact", [True, False])
def test_the_same_answers_are_right(is_exact: bool) -> None:
    found = check(answers(TinyModel()), trusted(), is_exact=is_exact, tolerance=Tolerance(0.0))
    assert (found.is_right, found.worst_margin, found.differing) == (True, 0.0, 0)


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize(
    ("model", "seed"),
    [
        (TinyModel(), 6),
        (TinyModel("another"), 5),
        (TinyModel(quantize="int4"), 5),
    ],
)
def test_another_seed_model_or_quantisation_is_wrong(
    model: TinyModel, seed: int, is_exact: bool
) -> None:
    found = check(answers(model, seed), trusted(), is_exact=is_exact, tolerance=Tolerance(0.25))
    assert not found.is_right
    assert found.differing >= 5


def test_with_tolerance_a_near_choice_is_right_and_told_in_the_figures() -> None:
    checked = [CheckedPrompt("p", " a d", TRACE)]
    found = check({"p": " b and so on"}, checked, is_exact=False, tolerance=Tolerance(0.1, 100))
    assert (found.is_right, found.differing, found.worst_margin) == (True, 1, 0.1)
    found = check({"p": " b and so on"}, checked, is_exact=False, tolerance=Tolerance(0.05, 100))
    assert not found.is_right
    assert "by a margin of 0.10, over 0.05" in found.reason
    assert not check({"p": " b"}, checked, is_exact=True, tolerance=Tolerance(9)).is_right


def test_a_checked_prompt_without_an_answer_is_wrong() -> None:
    found = check({"q": ""}, [CheckedPrompt("p", "", [])], is_exact=True, tolerance=Tolerance(0))
    assert (found.is_right, found.reason) == (False, "1 checked prompts have no answer")


LONG = [[(f" {number}", 0.0), (" near", 0.04)] for number in range(50)]


@pytest.mark.parametrize(
    ("text", "rest", "trusted_rest"),
    [
        (" 0 near and so on", 10, sum(len(f" {number}") for number in range(2, 50))),
        (" 0 near", 0, sum(len(f" {number}") for number in range(2, 50))),
        ("".join(f" {number}" for number in range(50)), 0, 0),
    ],
)
def test_what_follows_the_first_difference_is_measured(
    text: str, rest: int, trusted_rest: int
) -> None:
    found = compare(text, LONG)
    assert (found.rest, found.trusted_rest) == (rest, trusted_rest)


def checked_alike(count: int) -> list[CheckedPrompt]:
    text = "".join(f" {number}" for number in range(50))
    return [CheckedPrompt(f"p{number}", text, LONG) for number in range(count)]


def test_answers_that_leave_the_trusted_ones_too_often_are_wrong() -> None:
    checked = checked_alike(8)
    far = "".join(f" {number}" for number in range(40)) + " near" + " and so on" * 9
    given = {one.content: one.answer for one in checked}
    few = given | dict.fromkeys(["p0", "p1"], far)
    assert check(few, checked, is_exact=False, tolerance=Tolerance()).is_right
    found = check(dict.fromkeys(given, far), checked, is_exact=False, tolerance=Tolerance())
    assert (found.is_right, found.differing) == (False, 8)
    assert found.reason == "8 answers differ within 328 tokens, where 1.3 are usual"
    often = Tolerance(deviations=25)
    assert check(dict.fromkeys(given, far), checked, is_exact=False, tolerance=often).is_right


def test_answers_that_end_where_they_leave_the_trusted_ones_are_wrong() -> None:
    checked, often = checked_alike(4), Tolerance(deviations=100)
    given = {one.content: one.answer for one in checked}
    one = given | {"p0": " 0 near"}
    assert check(one, checked, is_exact=False, tolerance=often).is_right
    two = given | {"p0": " 0 near", "p1": " 0 1 near"}
    found = check(two, checked, is_exact=False, tolerance=often)
    assert found.reason == "2 answers end too soon after they left the trusted ones"
    longer = two | {"p1": " 0 1 near" + " and so on" * 4}
    assert check(longer, checked, is_exact=False, tolerance=often).is_right


def test_an_end_that_was_nearly_chosen_needs_no_length() -> None:
    ending = [[(" a", 0.0), ("", 0.01)], [(" b", 0.0)]]
    assert compare("", ending) == TextComparison(1, 0.01)


@pytest.mark.parametrize(("deviations", "is_right"), [(0.0, False), (1000.0, True)])
def test_the_usual_rate_may_be_anything(deviations: float, is_right: bool) -> None:
    checked = checked_alike(200)
    far = dict.fromkeys((one.content for one in checked), " near" + " and so on" * 99)
    tolerance = Tolerance(deviations=deviations)
    assert check(far, checked, is_exact=False, tolerance=tolerance).is_right is is_right
