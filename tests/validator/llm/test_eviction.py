"""Which samples and series are deleted, with their files."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.validator.conftest import configured
from tests.validator.llm import making
from validator.llm import eviction
from validator.llm.buckets import BucketError
from validator.llm.eviction import evict
from validator.llm.models import PromptSample, PromptSeries, SolveWorkload
from validator.llm.trusted_work import PipelineTools

pytestmark = pytest.mark.django_db

KEEP = timedelta(days=7)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> PipelineTools:
    made = making.tools()
    monkeypatch.setattr(eviction, "open_buckets", lambda access: made.buckets)
    return made


def use(sample: PromptSample, days: int, tools: PipelineTools) -> None:
    PromptSample.objects.filter(pk=sample.pk).update(used_at=timezone.now() - timedelta(days=days))
    tools.buckets.answers.put(sample.answers_key, b"{}")


def test_used_samples_go_with_the_answers_of_miners(tools: PipelineTools) -> None:
    old, new = making.workload(answered=True, samples=2), making.workload(samples=1)
    for sample, days in zip(old.samples.all(), (8, 6), strict=True):
        use(sample, days, tools)
    assert evict(KEEP, configured())["prompt samples"] == 1
    assert PromptSample.objects.count() == 2
    assert len(tools.buckets.answers.objects) == 1
    assert SolveWorkload.objects.count() == 2
    use(old.samples.get(), 8, tools)
    assert evict(KEEP, configured())["prompt samples"] == 1
    assert list(SolveWorkload.objects.all()) == [new]
    assert tools.buckets.answers.objects == {}


def test_old_series_go_unless_a_sample_needs_them(tools: PipelineTools) -> None:
    free, needed, young = (making.series(tools) for _ in range(3))
    making.workload(samples=1, of=needed)
    long_ago = timezone.now() - timedelta(days=8)
    PromptSeries.objects.filter(pk__in=[free.pk, needed.pk]).update(made_at=long_ago)
    assert evict(KEEP, configured()) == {"prompt samples": 0, "prompt series": 1}
    assert set(PromptSeries.objects.all()) == {needed, young}
    assert set(tools.buckets.prompts.objects) == {needed.key, young.key}


def test_without_buckets_the_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(access: object) -> None:
        raise BucketError("no bucket")

    monkeypatch.setattr(eviction, "open_buckets", refuse)
    one = making.series()
    PromptSeries.objects.update(made_at=timezone.now() - timedelta(days=8))
    assert evict(KEEP, configured())["prompt series"] == 0
    assert list(PromptSeries.objects.all()) == [one]
