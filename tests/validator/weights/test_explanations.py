"""What is wrong with a cycle's weights, and what to do about it."""

import pytest

from validator.weights.explanations import landed, next_step, problem, why
from validator.weights.models import WeightsSet


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "They were not read back yet."),
        ({"landing": "landed", "landed_block": 9}, "They were read back in block 9."),
        ({"landing": "lost", "landing_detail": "no reveal"}, "They were lost: no reveal."),
        ({"landing": "unknown"}, "Whether they took effect is not known."),
    ],
)
def test_a_sentence_says_whether_weights_landed(fields: dict, sentence: str) -> None:
    row = WeightsSet(cycle_start=722, earned_in=0, state="published", **fields)
    assert landed(row) == sentence
    assert why(row).endswith(sentence)


@pytest.mark.parametrize(
    ("fields", "wrong", "step"),
    [
        ({"state": "published"}, "", ""),
        ({"state": "published", "landing": "lost"}, "They were lost.", "nothing else sets weights"),
        ({"state": "trying"}, "", ""),
        ({"state": "trying", "outcome": "no permit"}, "no permit", "tried again"),
        ({"state": "failed"}, "The window closed", "before the next window"),
        ({"state": "empty", "outcome": "nobody"}, "Nothing was set: nobody", "the batch"),
        ({"state": "published", "landing": "unknown"}, "not known", "if it happens once"),
    ],
)
def test_each_problem_has_a_next_step(fields: dict, wrong: str, step: str) -> None:
    row = WeightsSet(cycle_start=722, earned_in=0, **fields)
    assert wrong in problem(row)
    assert step in next_step(row)
    assert bool(problem(row)) == bool(wrong) == bool(next_step(row))
