"""The setting `VALIDATOR_LLM`."""

import pytest
from pydantic import ValidationError

from validator.llm.policy import LlmPolicy


def test_the_defaults_are_those_of_the_published_validator() -> None:
    policy = LlmPolicy()
    assert (policy.most_series, policy.series_per_run, policy.prompts_per_series) == (3500, 25, 240)
    assert (policy.ready_samples, policy.enough_series) == (1536, 3072)
    assert (policy.generation_seconds, policy.run_seconds, policy.url_seconds) == (300, 260, 3600)


def test_there_need_not_be_more_series_than_there_may_be() -> None:
    assert LlmPolicy(most_series=5, ready_samples=3).enough_series == 5


def test_the_solver_gets_how_to_sample() -> None:
    arguments = LlmPolicy(temperature=0.7, answer_tokens=9).solver_arguments()
    assert {"--temperature=0.7", "--top-p=0.8", "--max-tokens=9"} <= set(arguments)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"url_seconds": 10**6}, {"unknown": 1}, {"top_p": 2}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LlmPolicy(**wrong)
