"""Deletes rows older than the operator wants to keep."""

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from compute_horde.django.action_record import close_lost
from compute_horde.django.eviction import delete_in_batches
from compute_horde.lifecycle import FINAL
from validator.allowance.models import SpentBlock
from validator.config import config
from validator.jobs.models import Job
from validator.llm import eviction as prompts_eviction
from validator.network import change_log
from validator.network.models import NamedMainHotkey, Snapshot
from validator.network.rules import BLOCK_SECONDS
from validator.operators.models import OperatorAction
from validator.receipts.models import (
    IssuedReceipt,
    PageCheckpoint,
    Receipt,
    TransferCount,
    TransferStatus,
)
from validator.receipts.pages import page_at
from validator.scores.models import ScoredCycle
from validator.synthetic.models import Batch, ControlTarget
from validator.trusted_miner.models import CheatFinding, CrossValidation

log = logging.getLogger(__name__)


def evict(keep: timedelta) -> dict[str, int]:
    """Delete jobs, receipts, batches and the network's past older than `keep`; return the counts.

    The age of a job counts from its end, and the receipts issued for it are kept as long as the
    job. What was fetched from miners is deleted after `VALIDATOR_RECEIPT_KEEP_DAYS`, or `keep` if
    that is shorter. The facts behind scores may be megabytes per cycle, so scored cycles go too;
    `python -m validator export` keeps them elsewhere. The evidence of false results is kept for
    `VALIDATOR_EVIDENCE_KEEP_DAYS`, or `keep` if that is longer. Blocks that were spent go once they
    cannot pay any more. Weights and the audit of
    operators' actions are never deleted: they are few. Actions that no worker can be at any more
    are ended.
    """
    close_lost(OperatorAction.objects.all())
    now = timezone.now()
    before = now - keep
    # Created before it ended: an index finds these.
    jobs = Job.objects.filter(created_at__lt=before, state_since__lt=before, state__in=FINAL)
    of_same_job = Job.objects.filter(pk=OuterRef("job_uuid"))
    deleted = {
        "jobs": delete_in_batches(jobs),
        "receipts": delete_in_batches(
            IssuedReceipt.objects.filter(~Exists(of_same_job), issued_at__lt=before)
        ),
        "fetched receipts": _evict_fetched(
            now - min(keep, timedelta(days=config.receipt_keep_days))
        ),
        "cross-validations": delete_in_batches(
            CrossValidation.objects.filter(created_at__lt=before)
        ),
        "evidence": delete_in_batches(
            CheatFinding.objects.filter(
                created_at__lt=now - max(keep, timedelta(days=config.evidence_keep_days))
            )
        ),
        "scored cycles": delete_in_batches(ScoredCycle.objects.filter(computed_at__lt=before)),
        "batches": delete_in_batches(Batch.objects.filter(started_at__lt=before)),
        **prompts_eviction.evict(keep, config),
        "facts": change_log.evict(keep),
        "main hotkeys": NamedMainHotkey.objects.filter(named_at__lt=before).delete()[0],
        "spent blocks": _evict_spent_blocks(now),
        "snapshots": Snapshot.objects.filter(taken_at__lt=before).delete()[0],
    }
    ControlTarget.objects.filter(probed_at__lt=before).delete()
    log.info("old rows evicted", extra=deleted)
    return deleted


def _evict_spent_blocks(now: datetime) -> int:
    """Delete the blocks that are too old to pay for any job.

    A block is reserved when it is at most so old, for a job that lasts at most as long.
    """
    worth = config.parameters().allowance
    reach = timedelta(seconds=BLOCK_SECONDS * (worth.block_expiry + worth.leeway_lower))
    return delete_in_batches(SpentBlock.objects.filter(spent_at__lt=now - 3 * reach))


def _evict_fetched(before: datetime) -> int:
    """Delete receipts that miners published, and what is known about their transfer."""
    deleted = delete_in_batches(Receipt.objects.filter(timestamp__lt=before))
    delete_in_batches(PageCheckpoint.objects.filter(page__lt=page_at(before.timestamp())))
    TransferStatus.objects.filter(changed_at__lt=before).delete()
    # Those of all miners together are kept, since counters must not fall.
    TransferCount.objects.filter(changed_at__lt=before).exclude(miner_hotkey="").delete()
    return deleted
