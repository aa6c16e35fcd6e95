"""The step that makes series of prompts."""

from types import SimpleNamespace

import pytest

from tests.validator.llm import making
from validator.llm.generation import generate
from validator.llm.models import PromptSeries
from validator.llm.programs.answer_file import BadFileError, prompts_text
from validator.llm.trusted_work import PipelineTools
from validator.trusted_miner.runs import TrustedJob

pytestmark = pytest.mark.django_db


def generating(prompts: int = 4, **policy: int) -> tuple[PipelineTools, list[TrustedJob]]:
    jobs: list[TrustedJob] = []

    def run_job(job: TrustedJob) -> SimpleNamespace:
        jobs.append(job)
        for one in job.output_upload.uploads:
            content = prompts_text([f"{one.url} {number}" for number in range(prompts)])
            made.buckets.prompts.put(one.url, content)
        return SimpleNamespace(stdout="")

    made = making.tools(run_job, **policy)
    return made, jobs


def test_a_run_makes_some_series_until_there_are_enough() -> None:
    made, jobs = generating(most_series=5)
    assert generate(made) == "3 series made, there are 3"
    assert generate(made) == "2 series made, there are 5"
    assert generate(made) == "there are enough series: 5"
    assert [len(job.output_upload.uploads) for job in jobs] == [3, 2]
    assert set(made.buckets.prompts.objects) == {one.key for one in PromptSeries.objects.all()}
    (uuids,) = (one.split("=")[1] for one in jobs[1].args if "uuids" in one)
    assert {f"prompts_{one}.txt" for one in uuids.split(",")} == {
        one.relative_path for one in jobs[1].output_upload.uploads
    }
    assert "--number_of_prompts_per_batch=4" in jobs[1].args
    assert jobs[1].execution_seconds == 300


def test_answers_that_are_missing_come_first() -> None:
    making.workload()
    assert "workloads are waiting" in generate(making.tools())


def test_a_series_of_another_length_is_not_taken() -> None:
    made, _ = generating(prompts=3)
    with pytest.raises(BadFileError, match="has 3 prompts instead of 4"):
        generate(made)
    assert not PromptSeries.objects.exists()
