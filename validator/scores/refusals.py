"""Users' jobs that miners refused although, by all that is known here, executors were free."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache

from django.db.models import F

from compute_horde.cycles import Cycle
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.vocabulary import ReceiptType, RejectionReason
from validator.jobs.models import RefusedOffer
from validator.network.history import between
from validator.network.network_state import NetworkState
from validator.receipts.busy import KnownReceipt, busy_executors
from validator.receipts.queries import receipts_valid_at
from validator.scores.allowances import AllowanceRule, BlockTimes
from validator.scoring.facts import MAX_COUNT, JobOutcome, Place, WorkedJob

# What is nobody's fault, or this validator's, is no refusal.
REASONS = (
    RejectionReason.BUSY,
    RejectionReason.UNKNOWN,
    RejectionReason.VALIDATOR_BLACKLISTED,
)
# An executor is made ready for the next job when one is over.
AFTER_A_JOB = timedelta(minutes=1)
# Of a miner and class, so many refusals in a cycle are looked at, the first ones.
MOST_JUDGED = 10


def refused_jobs(
    cycle: Cycle, since: datetime, until: datetime | None, rule: AllowanceRule
) -> Iterator[WorkedJob]:
    """The users' jobs that were declined in this time while the miner had executors free.

    Free are those of its effective manifest at that block without a job by the receipts known now,
    of this validator and of those with enough stake. A decline does not count where the manifest of
    that block is not known, where all executors had work, or where the miner took the job later.
    """
    offers = RefusedOffer.objects.filter(declined_at__gte=since, reason__in=REASONS)
    if until is not None:
        offers = offers.filter(declined_at__lt=until)
    timeline = BlockTimes.read(cycle.start, cycle.stop)
    state_at = cache(between(cycle.start, cycle.stop).at)
    judged: Counter[Place] = Counter()
    for uuid, hotkey, name, at in (
        offers.exclude(hotkey=TRUSTED_MINER_HOTKEY)
        .exclude(job__miner=F("hotkey"))
        .order_by("declined_at", "job_id")
        .values_list("job_id", "hotkey", "job__executor_class", "declined_at")
        .iterator()
    ):
        block = min(timeline.block(at), cycle.stop - 1)
        kind = ExecutorClass.known(name)
        if kind is None or block < cycle.start or judged[hotkey, kind] >= MOST_JUDGED:
            continue
        judged[hotkey, kind] += 1
        if free := _free(str(uuid), (hotkey, kind), at, state_at(block), rule):
            yield WorkedJob(
                str(uuid),
                hotkey,
                kind,
                JobOutcome.REFUSED,
                is_organic=True,
                at=Fraction(int(at.timestamp() * 1000), 1000),
                free_executors=min(free, MAX_COUNT),
            )


def _free(
    declined: str, place: Place, at: datetime, state: NetworkState, rule: AllowanceRule
) -> int:
    """How many executors had no work when the job was declined; 0 where that is not known."""
    hotkey, kind = place
    offered = state.manifests.get(hotkey, {}).get(kind, 0)
    if state.manifests_known_from is None or not offered:
        return 0
    trusted = {
        one.hotkey for one in state.neurons.values() if one.stake_rao >= rule.minimum_stake_rao
    } | {rule.validator}
    known = {
        one.key: one
        for moment in (at - AFTER_A_JOB, at)
        for one in receipts_valid_at(hotkey, moment, rule.validator)
    }
    receipts = [
        one
        for one in known.values()
        if one.validator in trusted
        and (one.job_uuid, one.validator) != (declined, rule.validator)
        and not _was_just_over(one, at)
    ]
    return max(offered - busy_executors(receipts, at)[kind], 0)


def _was_just_over(receipt: KnownReceipt, at: datetime) -> bool:
    """Whether it says that a job was over so shortly before that its executor was not ready yet."""
    return receipt.receipt_type is ReceiptType.FINISHED and at - receipt.timestamp < AFTER_A_JOB
