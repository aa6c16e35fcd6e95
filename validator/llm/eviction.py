"""Deletes used samples and old series, with their files in the buckets."""

import logging
from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from validator.config import Config
from validator.llm.buckets import BucketError, Buckets, open_buckets
from validator.llm.models import PromptSample, PromptSeries, SolveWorkload

log = logging.getLogger(__name__)

DELETED_AT_ONCE = 1000


def evict(keep: timedelta, config: Config) -> dict[str, int]:
    """Delete samples used longer ago than `keep`, and old series that no unused sample needs.

    Returns the counts. When the buckets cannot be used, nothing is deleted, since the rows name the
    files.
    """
    now = timezone.now()
    used = PromptSample.objects.filter(used_at__lt=now - keep).select_related("series")
    needed = PromptSample.objects.filter(series=OuterRef("pk"), used_at__gt=now - keep)
    unused = PromptSample.objects.filter(series=OuterRef("pk"), used_at=None)
    old = now - timedelta(days=config.llm.series_keep_days)
    series = PromptSeries.objects.filter(~Exists(needed), ~Exists(unused), made_at__lt=old)
    counts = {"prompt samples": 0, "prompt series": 0}
    if not (used.exists() or series.exists()):
        return counts
    try:
        buckets = open_buckets(config.bucket_access)
        counts["prompt samples"] = _evict_samples(used, buckets)
        counts["prompt series"] = _evict_series(series, buckets)
    except BucketError as exc:
        log.warning("files of prompts are not deleted", extra={"problem": str(exc)})
    left = PromptSample.objects.filter(workload=OuterRef("pk"))
    SolveWorkload.objects.filter(~Exists(left), finished_at__isnull=False).delete()
    return counts


def _evict_samples(used: QuerySet[PromptSample], buckets: Buckets) -> int:
    total = 0
    while some := list(used[:DELETED_AT_ONCE]):
        buckets.answers.delete(one.answers_key for one in some)
        PromptSample.objects.filter(pk__in=[one.pk for one in some]).delete()
        total += len(some)
    return total


def _evict_series(series: QuerySet[PromptSeries], buckets: Buckets) -> int:
    total = 0
    while some := list(series[:DELETED_AT_ONCE]):
        buckets.prompts.delete(one.key for one in some)
        PromptSeries.objects.filter(pk__in=[one.pk for one in some]).delete()
        total += len(some)
    return total
