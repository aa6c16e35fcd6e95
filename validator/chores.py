"""Forgetting what is old."""

import logging
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from compute_horde.lifecycle import FINAL
from validator.jobs.models import Job
from validator.network.models import Snapshot
from validator.receipts.models import IssuedReceipt
from validator.synthetic.models import Batch

log = logging.getLogger(__name__)


def evict(keep: timedelta) -> None:
    """Delete jobs, receipts, batches and looks at the chain older than `keep`.

    A job's age counts from its end, however long it took, and its receipts stay as long as it.
    Weights stay: they are few, and what was paid is asked for long afterwards.
    """
    before = timezone.now() - keep
    theirs = Job.objects.filter(pk=OuterRef("job_uuid"))
    gone = {
        "jobs": Job.objects.filter(state__in=FINAL, state_since__lt=before).delete()[0],
        "receipts": IssuedReceipt.objects.filter(~Exists(theirs), issued_at__lt=before).delete()[0],
        "batches": Batch.objects.filter(started_at__lt=before).delete()[0],
        "snapshots": Snapshot.objects.filter(taken_at__lt=before).delete()[0],
    }
    log.info("old rows evicted", extra=gone)
