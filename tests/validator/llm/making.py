"""Rows and buckets of the pipeline, for tests without servers and programs."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from django.utils import timezone

from tests.validator.llm.conftest import SMALL
from validator.llm.buckets import BucketError, Buckets
from validator.llm.models import Prompt, PromptSample, PromptSeries, SolveWorkload
from validator.llm.policy import LlmPolicy
from validator.llm.programs.answer_file import answers_text, prompts_text, trace_text
from validator.llm.trusted_work import PipelineTools
from validator.trusted_miner.runs import TrustedJob


class MemoryBucket:
    """A bucket in memory; its URLs are its keys."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, content: bytes) -> None:
        self.objects[key] = content

    def get(self, key: str, max_bytes: int) -> bytes:
        if key not in self.objects:
            raise BucketError(f"there is no {key}")
        return self.objects[key]

    def delete(self, keys: Any) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def url_to_get(self, key: str, seconds: int) -> str:
        return key

    url_to_put = url_to_get


def tools(run_job: Any = None, **policy: Any) -> PipelineTools:
    """Tools with buckets in memory; jobs are refused unless there is a `run_job`."""
    buckets: Any = Buckets(MemoryBucket(), MemoryBucket())  # type: ignore[arg-type]
    return PipelineTools(LlmPolicy(**(SMALL | policy)), buckets, run_job or _no_job)


def _no_job(job: TrustedJob) -> Any:
    raise AssertionError("no job is needed")


def series(made: PipelineTools | None = None, prompts: int = 4) -> PromptSeries:
    """A stored series, with its file."""
    one = PromptSeries.objects.create(uuid=uuid4(), image="i", prompts=prompts)
    if made:
        content = prompts_text([f"{one.uuid} {number}" for number in range(prompts)])
        made.buckets.prompts.put(one.key, content)
    return one


def workload(*, answered: bool = False, samples: int = 2, of: Any = None) -> SolveWorkload:
    """A workload with samples of one prompt each."""
    made = SolveWorkload.objects.create(
        uuid=uuid4(),
        image="solver:1",
        arguments=["--x=1"],
        finished_at=timezone.now() if answered else None,
        is_deterministic=True if answered else None,
    )
    for number in range(samples):
        sample = PromptSample.objects.create(series=of or series(), workload=made, seed=number)
        answer = f"answer {number}" if answered else None
        Prompt.objects.create(sample=sample, content=f"{made.uuid} {number}", answer=answer)
    return made


def solving(made: PipelineTools, **about: Any):
    """A trusted miner that answers every prompt of a workload; `about` changes what it says."""
    given = {"is_deterministic": True, "traces": {}, "left_out": 0} | about

    def run_job(job: TrustedJob) -> SimpleNamespace:
        bucket: Any = made.buckets.answers
        text = bucket.objects[job.volume.volumes[0].url].decode()
        prompts = text.splitlines()[given["left_out"] :]
        answers, trace = job.output_upload.uploads
        bucket.put(answers.url, answers_text({prompt: f"to {prompt}" for prompt in prompts}))
        traces = dict.fromkeys(prompts, given["traces"]) if given["traces"] else {}
        bucket.put(trace.url, trace_text("m", traces, is_deterministic=given["is_deterministic"]))
        return SimpleNamespace(stdout="")

    return run_job
