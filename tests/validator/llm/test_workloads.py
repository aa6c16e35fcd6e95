"""The step that draws prompts from series."""

from datetime import timedelta

import pytest

from tests.validator.llm import making
from validator.llm.models import Prompt, PromptSample, SolveWorkload
from validator.llm.workloads import make_workloads

pytestmark = pytest.mark.django_db


def test_sampling_waits_for_enough_series() -> None:
    made = making.tools()
    making.series(made)
    assert make_workloads(made) == "there are 1 series, and sampling begins with 3"


def test_prompts_are_packed_into_workloads_until_enough_samples_are_ready() -> None:
    made = making.tools(ready_samples=5, most_series=3, checked_prompts=2, prompts_per_workload=5)
    first, *_ = [making.series(made) for _ in range(3)]
    making.workload(answered=True, samples=1, of=first)
    assert make_workloads(made) == "4 samples made; 1 were ready"
    packed = SolveWorkload.objects.filter(finished_at=None)
    assert sorted(one.samples.count() for one in packed) == [2, 2]
    for one in packed:
        prompts = Prompt.objects.filter(sample__workload=one)
        text = made.buckets.answers.objects[one.key].decode().splitlines()
        assert sorted(text) == sorted(prompt.content for prompt in prompts)
        assert len(set(text)) == 4
        seeds = made.buckets.answers.objects[one.seeds_key].decode().split()
        by_prompt = {prompt.content: str(prompt.sample.seed) for prompt in prompts}
        assert [by_prompt[prompt] for prompt in text] == seeds
    assert len(set(PromptSample.objects.values_list("seed", flat=True))) >= 4
    assert make_workloads(made) == "there are enough samples: 1 ready, 4 to be answered"


def test_no_prompt_is_in_a_workload_twice() -> None:
    """Two series with the same prompts: only the first one gives a sample."""
    made = making.tools(ready_samples=2, most_series=2, checked_prompts=4)
    for _ in range(2):
        made.buckets.prompts.put(making.series().key, b"a\nb\nc\nd\n")
    make_workloads(made)
    assert PromptSample.objects.count() == 1
    assert Prompt.objects.count() == 4


@pytest.mark.parametrize(("is_deterministic", "checked"), [(None, 8), (False, 8), (True, 1)])
def test_more_prompts_are_checked_of_an_image_that_is_not_known_to_be_deterministic(
    is_deterministic: bool | None, checked: int
) -> None:
    made = making.tools(
        ready_samples=4, most_series=3, checked_prompts=None, solver_image="solver:1"
    )
    first, *_ = [making.series(made, prompts=20) for _ in range(3)]
    if is_deterministic is not None:
        old = making.workload(answered=True, samples=1, of=first)
        older = making.workload(answered=True, samples=1, of=first)
        SolveWorkload.objects.filter(pk=old.pk).update(is_deterministic=is_deterministic)
        SolveWorkload.objects.filter(pk=older.pk).update(
            is_deterministic=not is_deterministic, finished_at=old.finished_at - timedelta(days=1)
        )
    make_workloads(made)
    samples = PromptSample.objects.filter(workload__finished_at=None)
    assert {one.prompts.count() for one in samples} == {checked}
