"""How tokens are chosen, and how far others are from being chosen."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.llm.programs.sampling import (
    MOST_MARGIN,
    Sampling,
    choose,
    gumbel_noise,
    noise_key,
)

LOGITS = [(0, 1.0), (1, 0.9), (2, 0.2), (3, -3.0)]
KEY = noise_key(1, "prompt")


def chosen(position: int, logits=LOGITS, key: bytes = KEY, **fields) -> int:
    return choose(logits, Sampling(**fields), key, position)[0].token


def test_the_noise_is_of_the_gumbel_distribution() -> None:
    drawn = [gumbel_noise(KEY, position, 7) for position in range(4000)]
    assert statistics.mean(drawn) == pytest.approx(0.5772, abs=0.08)
    assert statistics.stdev(drawn) == pytest.approx(1.2825, abs=0.1)


def test_tokens_come_with_the_probabilities_of_the_softmax() -> None:
    counts = [chosen(position, temperature=1.0, top_p=1.0) for position in range(4000)]
    shares = [counts.count(token) / 4000 for token in range(4)]
    assert shares == pytest.approx([0.415, 0.375, 0.186, 0.008], abs=0.04)


def test_improbable_tokens_are_left_out() -> None:
    assert {chosen(position, temperature=1.0, top_p=0.7) for position in range(300)} == {0, 1}
    assert {chosen(position, temperature=1.0, top_p=0.01) for position in range(50)} == {0}


@pytest.mark.parametrize("other", [noise_key(2, "prompt"), noise_key(1, "another")])
def test_another_seed_or_prompt_chooses_otherwise(other: bytes) -> None:
    ours = [chosen(position) for position in range(100)]
    assert ours == [chosen(position) for position in range(100)]
    assert sum(chosen(n, key=other) != token for n, token in enumerate(ours)) > 20


@given(st.integers(0, 500), st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True))
def test_a_margin_is_what_the_logits_would_have_to_differ_by(
    position: int, logits: list[float]
) -> None:
    """Within the tokens that may be chosen, adding a little more than the margin chooses it."""
    sampling = Sampling(temperature=1.0, top_p=1.0, trace=8)
    found = choose(list(enumerate(logits)), sampling, KEY, position)
    assert found[0].margin == 0
    assert [one.margin for one in found] == sorted(one.margin for one in found)
    for one in found[1:]:
        for extra, is_chosen in ((0.01, True), (-0.01, False)):
            if one.margin < MOST_MARGIN and one.margin + extra > 0:
                changed = list(enumerate(logits))
                changed[one.token] = (one.token, logits[one.token] + one.margin + extra)
                token = choose(changed, sampling, KEY, position)[0].token
                assert (token == one.token) is is_chosen


def test_a_token_near_the_border_of_the_probable_ones_has_a_small_margin() -> None:
    """The chosen token leaves the probable ones by a small change; the next one has that margin."""
    logits = [(0, 2.0), (1, 1.0), (2, 0.999)]
    sampling = Sampling(temperature=1.0, top_p=0.78, trace=4)
    position = next(n for n in range(500) if choose(logits, sampling, KEY, n)[0].token == 1)
    margins = {one.token: one.margin for one in choose(logits, sampling, KEY, position)}
    assert margins[0] < 0.1
    changed = [(0, 2.0), (1, 1.0 - margins[0] - 0.01), (2, 0.999)]
    assert choose(changed, sampling, KEY, position)[0].token != 1
