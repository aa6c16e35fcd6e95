"""The step `sampling`: draws prompts from series, and packs them into workloads."""

import math
import random
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

from django.db import transaction

from validator.llm.buckets import Bucket
from validator.llm.models import Prompt, PromptSample, PromptSeries, SolveWorkload
from validator.llm.programs.answer_file import MAX_BYTES, prompts_text, read_prompts
from validator.llm.samples import pending_count, ready_count
from validator.llm.trusted_work import PipelineTools

DOWNLOADS_AT_ONCE = 16
SEED_BITS = 32
# Prompts of a sample with a trusted answer.
CHECKED, CHECKED_WITH_TOLERANCE = 1, 8


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The prompts drawn from one series."""

    series: PromptSeries
    prompts: list[str]


def make_workloads(tools: PipelineTools) -> str:
    """Make workloads until enough samples are ready or pending; returns what was done.

    Raises:
        BucketError: a bucket could not be used.
        BadFileError: a series in the bucket is no file of prompts.
    """
    policy = tools.policy
    series = PromptSeries.objects.count()
    if series < policy.enough_series:
        return f"there are {series} series, and sampling begins with {policy.enough_series}"
    ready, pending = ready_count(), pending_count()
    missing = policy.ready_samples - ready - pending
    if missing <= 0:
        return f"there are enough samples: {ready} ready, {pending} to be answered"
    checked = policy.checked_prompts or usual_checked(policy.solver_image)
    in_each = max(policy.prompts_per_workload // checked, 1)
    for number in range(math.ceil(missing / in_each)):
        _make_workload(tools, min(in_each, missing - number * in_each), checked)
    return f"{missing} samples made; {ready} were ready"


def usual_checked(image: str) -> int:
    """How many prompts of a sample are checked: more where answers are compared with tolerance.

    One answer cannot show how often answers differ.
    """
    last = SolveWorkload.objects.filter(image=image, finished_at__isnull=False)
    newest = last.order_by("-finished_at").first()
    return CHECKED if newest and newest.is_deterministic else CHECKED_WITH_TOLERANCE


def _make_workload(tools: PipelineTools, count: int, checked: int) -> None:
    policy, bucket = tools.policy, tools.buckets.answers
    chosen = list(PromptSeries.objects.order_by("?")[:count])
    drawn = _draw(tools.buckets.prompts, chosen, checked)
    workload = SolveWorkload(
        uuid=uuid4(),
        image=policy.solver_image,
        arguments=policy.solver_arguments(),
        weights=policy.weights.model_dump() if policy.weights else None,
    )
    samples = [
        PromptSample(series=one.series, workload=workload, seed=secrets.randbits(SEED_BITS))
        for one in drawn
    ]
    texts = [prompt for one in drawn for prompt in one.prompts]
    seeds = [sample.seed for sample, one in zip(samples, drawn, strict=True) for _ in one.prompts]
    bucket.put(workload.key, prompts_text(texts))
    bucket.put(workload.seeds_key, "".join(f"{seed}\n" for seed in seeds).encode())
    with transaction.atomic():
        workload.save(force_insert=True)
        PromptSample.objects.bulk_create(samples)
        Prompt.objects.bulk_create(
            Prompt(sample=sample, content=prompt)
            for sample, one in zip(samples, drawn, strict=True)
            for prompt in one.prompts
        )


def _draw(bucket: Bucket, chosen: list[PromptSeries], count: int) -> list[_Drawn]:
    """`count` random prompts of each series; none is in two of them, since answers go by prompt."""
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
        files = list(threads.map(lambda one: bucket.get(one.key, MAX_BYTES), chosen))
    rng, taken, drawn = random.SystemRandom(), set[str](), list[_Drawn]()
    for series, content in zip(chosen, files, strict=True):
        free = [prompt for prompt in read_prompts(content) if prompt not in taken]
        prompts = rng.sample(free, min(count, len(free)))
        taken.update(prompts)
        if prompts:
            drawn.append(_Drawn(series, prompts))
    return drawn
