"""Samples are handed out once each."""

import pytest
from django.utils import timezone

from compute_horde.django.database import in_database
from tests.validator.conftest import configured
from tests.validator.llm import making
from validator.config import Config
from validator.llm import samples
from validator.llm.buckets import BucketError
from validator.llm.models import PipelineStep, PromptSample
from validator.llm.sample import CheckedPrompt, Taker
from validator.llm.samples import StoredSamples
from validator.llm.trusted_work import PipelineTools

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held() -> PipelineTools:
    return making.tools()


@pytest.fixture(autouse=True)
def config(held: PipelineTools, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(samples, "open_buckets", lambda access: held.buckets)
    return configured(llm=held.policy)


def takers(*seeds: str) -> list[Taker]:
    return [Taker(f"miner of {seed}", seed) for seed in seeds]


async def test_a_sample_is_taken_once_ever(config: Config) -> None:
    made = await in_database(making.workload, answered=True, samples=3)
    source = StoredSamples(config)
    first = await source.take(takers("a", "b"), 60)
    second = await source.take(takers("c", "d"), 60)
    assert [len(first.samples), len(second.samples)] == [2, 1]
    assert len({one.seed for one in [*first.samples, *second.samples]}) == 3
    assert "1 of 2 samples were ready" in second.shortage
    assert first.shortage == ""
    stored = await in_database(lambda: list(PromptSample.objects.order_by("seed")))
    assert [one.hotkey for one in stored] == ["miner of a", "miner of b", "miner of c"]
    one = first.samples[0]
    assert (one.image, one.arguments, one.is_deterministic) == ("solver:1", ["--x=1"], True)
    assert one.checked == [CheckedPrompt(f"{made.uuid} 0", "answer 0", [])]


async def test_a_repeat_after_a_lost_connection_finds_the_same_samples(config: Config) -> None:
    await in_database(making.workload, answered=True, samples=3)
    source = StoredSamples(config)
    first, again = [await source.take(takers("a", "b"), 60) for _ in range(2)]
    assert [one.seed for one in first.samples] == [one.seed for one in again.samples]
    assert await in_database(samples.ready_count) == 1


async def test_samples_without_answers_are_not_ready(config: Config) -> None:
    await in_database(making.workload, samples=2)
    assert await in_database(samples.pending_count) == 2
    taken = await StoredSamples(config).take(takers("a"), 60)
    assert taken.samples == []
    assert "0 of 1 samples were ready (the pipeline has not run yet)" in taken.shortage


async def test_a_shortage_says_how_the_pipeline_fares(config: Config) -> None:
    def note() -> None:
        PipelineStep.objects.create(
            name="generation", ended_at=timezone.now(), is_ok=False, result="no trusted miner"
        )

    await in_database(note)
    taken = await StoredSamples(config).take(takers("a"), 60)
    assert "generation: no trusted miner" in taken.shortage


async def test_no_bucket_is_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    taken = await StoredSamples(configured()).take(takers("a"), 60)
    assert (taken.samples, taken.shortage[:29]) == ([], "set S3_BUCKET_NAME_PROMPTS an")


async def test_links_that_would_expire_are_noticed_before_a_sample_is_taken(
    config: Config,
) -> None:
    await in_database(making.workload, answered=True, samples=1)
    taken = await StoredSamples(config).take(takers("a"), 3601)
    assert taken.samples == []
    assert "url_seconds in VALIDATOR_LLM must be at least 3601" in taken.shortage
    assert await in_database(samples.ready_count) == 1


async def test_an_empty_object_waits_for_the_answers_of_each_sample(
    config: Config, held: PipelineTools
) -> None:
    await in_database(making.workload, answered=True, samples=3)
    taken = await StoredSamples(config).take(takers("a", "b"), 60)
    made = {samples.CHECK_KEY, *(one.upload_url for one in taken.samples)}
    assert held.buckets.answers.objects == dict.fromkeys(made, b"")
    assert len(taken.samples) == 2


@pytest.mark.parametrize(("works", "left"), [(0, 3), (1, 1)])
async def test_a_bucket_that_takes_nothing_is_a_shortage_after_one_try(
    works: int, left: int, config: Config, held: PipelineTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_database(making.workload, answered=True, samples=3)
    monkeypatch.setattr(samples, "UPLOADS_AT_ONCE", 1)
    tried: list[str] = []

    def put(key: str, content: bytes) -> None:
        tried.append(key)
        if len(tried) <= works:
            return
        raise BucketError("the bucket is away")

    monkeypatch.setattr(held.buckets.answers, "put", put)
    taken = await StoredSamples(config).take(takers("a", "b"), 60)
    assert (taken.samples, taken.shortage) == ([], "the bucket is away")
    assert len(tried) == works + 1
    assert await in_database(samples.ready_count) == left
