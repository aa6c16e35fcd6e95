"""Samples that are ready: how many there are, and taking them for a batch, once each."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.volumes import HuggingfaceVolume
from validator.config import Config
from validator.llm.buckets import Bucket, BucketError, Buckets, open_buckets
from validator.llm.models import PipelineStep, PromptSample
from validator.llm.sample import CheckedPrompt, LlmSample, TakenSamples, Taker

# As many connections as a client of `boto3` keeps.
UPLOADS_AT_ONCE = 10
# An empty object that shows that the bucket of answers can be written to.
CHECK_KEY = "writable"


def ready_count() -> int:
    """How many samples have answers and were not used."""
    return PromptSample.objects.filter(used_at=None, workload__finished_at__isnull=False).count()


def pending_count() -> int:
    """How many samples wait for their answers."""
    return PromptSample.objects.filter(workload__finished_at=None).count()


class StoredSamples:
    """The samples in the database, with URLs into the buckets."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def take(self, takers: Sequence[Taker], link_seconds: int) -> TakenSamples:
        """Samples for the first takers; from now on they are used, whatever becomes of the batch.

        What is short is no error: no trusted miner or no bucket only means that no more are made.
        """
        try:
            buckets = open_buckets(self._config.bucket_access)
        except BucketError as exc:
            return TakenSamples([], str(exc))
        seconds = self._config.llm.url_seconds
        if seconds < link_seconds:
            return TakenSamples(
                [],
                "links would expire during the batch: url_seconds in VALIDATOR_LLM must be at "
                f"least {link_seconds}",
            )
        try:
            # Before any sample is used up.
            await asyncio.to_thread(buckets.answers.put, CHECK_KEY, b"")
            taken = await in_database(_take, list(takers))
            await asyncio.to_thread(
                _make_empty, buckets.answers, [one.answers_key for one in taken]
            )
        except BucketError as exc:
            return TakenSamples([], str(exc))
        samples = [_sample(one, buckets, seconds) for one in taken]
        if len(samples) == len(takers):
            return TakenSamples(samples)
        return TakenSamples(samples, await in_database(_shortage, len(takers), len(samples)))


def _take(takers: list[Taker]) -> list[PromptSample]:
    """Mark samples as used; a repeat with the same takers finds the same ones."""
    with transaction.atomic():
        seeds = [one.attempt_seed for one in takers]
        known = {one.attempt_seed: one for one in _complete().filter(attempt_seed__in=seeds)}
        missing = [one for one in takers if one.attempt_seed not in known]
        ready = (
            _complete()
            .filter(used_at=None, workload__finished_at__isnull=False)
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("workload__finished_at", "id")[: len(missing)]
        )
        for taker, sample in zip(missing, ready, strict=False):
            sample.used_at = timezone.now()
            sample.hotkey, sample.attempt_seed = taker.hotkey, taker.attempt_seed
            sample.save(update_fields=["used_at", "hotkey", "attempt_seed"])
            known[taker.attempt_seed] = sample
    taken = []
    for taker in takers:
        if taker.attempt_seed not in known:
            break
        taken.append(known[taker.attempt_seed])
    return taken


def _make_empty(bucket: Bucket, keys: Sequence[str]) -> None:
    """Store empty objects where miners will store answers.

    What is read later then always exists: without the right to list a bucket, S3 answers for an
    object that does not exist as for one that may not be read, which is not the miner's fault.
    After the first failure nothing more is sent.
    """
    has_failed = threading.Event()

    def make(key: str) -> None:
        if has_failed.is_set():
            return
        try:
            bucket.put(key, b"")
        except BucketError:
            has_failed.set()
            raise

    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
        list(threads.map(make, keys))


def _complete() -> QuerySet[PromptSample]:
    return PromptSample.objects.select_related("series", "workload").prefetch_related("prompts")


def _sample(sample: PromptSample, buckets: Buckets, seconds: int) -> LlmSample:
    workload, series = sample.workload, sample.series
    return LlmSample(
        name=series.key.removesuffix(".txt"),
        seed=sample.seed,
        image=workload.image,
        arguments=workload.arguments,
        weights=HuggingfaceVolume(**workload.weights) if workload.weights else None,
        prompts_url=buckets.prompts.url_to_get(series.key, seconds),
        upload_url=buckets.answers.url_to_put(sample.answers_key, seconds),
        download_url=buckets.answers.url_to_get(sample.answers_key, seconds),
        checked=[
            CheckedPrompt(one.content, one.answer or "", one.trace or [])
            for one in sample.prompts.all()
        ],
        is_deterministic=bool(workload.is_deterministic),
    )


def _shortage(wanted: int, found: int) -> str:
    """How many samples there were, and how the steps that make them ended last."""
    steps = "; ".join(str(step) for step in PipelineStep.objects.all())
    return f"{found} of {wanted} samples were ready ({steps or 'the pipeline has not run yet'})"
