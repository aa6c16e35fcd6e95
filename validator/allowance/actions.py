"""Pays for the jobs of this validator's users: chooses blocks and stores that they are spent."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType
from validator.allowance import rules
from validator.allowance.models import SpentBlock
from validator.config import Config
from validator.network.history import (
    chain_known_until,
    manifest_between,
    validators_between,
)
from validator.network.models import Snapshot
from validator.receipts.models import IssuedReceipt
from validator.scores.allowances import AllowanceRule, BlockTimes, blocks, manifests
from validator.scoring.allowance import (
    BlockAllowances,
    ChainBlock,
    ManifestHistory,
    MinerAllowances,
)
from validator.scoring.parameters import AllowanceParameters, FormulaName
from validator.scoring.spending import PICOSECONDS, Account, SpendingRule, picoseconds

log = logging.getLogger(__name__)

# What the log of the network says of past blocks changes when a gap in it is filled.
RELOAD_SECONDS = 600.0
# One payment at a time at a miner and class: the next one sees what this one spent.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


@dataclass
class KnownBlocks:
    """What each executor gets in the latest blocks; read again when newer ones are logged.

    Blocks after the last one that the log of the network covers are not known: what their stakes
    were is logged later.
    """

    rule: AllowanceRule
    multiplier: Fraction
    span: int
    clock: Callable[[], float] = time.monotonic
    _read: tuple[range, float, BlockAllowances] | None = field(default=None, init=False)

    def covering(self, wanted: range) -> BlockAllowances:
        """The allowances of the wanted blocks, as far as they are known."""
        stop = chain_known_until()
        if self._read:
            known, read_at, allowances = self._read
            is_covered = known.start <= wanted.start and min(wanted.stop, stop) <= known.stop
            if is_covered and self.clock() - read_at < RELOAD_SECONDS:
                return allowances
        # Jobs that started earlier may end later.
        first = min(wanted.start, stop - self.span)
        facts = blocks(validators_between(first, stop), self.rule) if first < stop else ()
        allowances = BlockAllowances(
            [ChainBlock(one.number, one.length, one.stakes) for one in facts], self.multiplier
        )
        self._read = (range(first, stop), self.clock(), allowances)
        return allowances


@dataclass(frozen=True, slots=True)
class PaidJob:
    """A job at the miner that is paid for it; `cost` is its score in executor seconds."""

    uuid: str
    miner: str
    executor_class: ExecutorClass
    cost: Decimal


class BlockPayer:
    """Chooses the blocks that the finished receipts of jobs name; may be used by many threads."""

    def __init__(self, rule: AllowanceRule, worth: AllowanceParameters) -> None:
        """`rule` says whose blocks and executors count, `worth` how long blocks may be spent."""
        self._rule = rule
        self._expiry = worth.block_expiry
        self._spending = SpendingRule(worth.block_expiry, worth.leeway_lower, worth.leeway_upper)
        self._reach = worth.block_expiry + worth.leeway_lower
        self._blocks = KnownBlocks(rule, Fraction(worth.multiplier), 2 * self._reach)

    @classmethod
    def configured(cls, config: Config) -> "BlockPayer | None":
        """The payer of this validator; None unless jobs are paid by allowance."""
        parameters = config.parameters()
        if parameters.formula is not FormulaName.ALLOWANCE:
            return None
        return cls(AllowanceRule.configured(config), parameters.allowance)

    def reserve(self, job: PaidJob) -> bool:
        """Reserve the oldest blocks that cover the cost of a job that starts now.

        False, and nothing is reserved, if all together do not; what is missing is logged.
        """
        started_at = _block_of(timezone.now())
        problem, _ = self._spend(job, started_at)
        if problem:
            log.info(
                "job not offered: too little allowance at the miner", extra=_described(job, problem)
            )
        return not problem

    def pay(self, job: PaidJob) -> tuple[int, ...]:
        """Spend blocks that cover the job's cost: reserved ones first, then the oldest ones.

        None if all together do not; what is missing is logged. Blocks may pay by when the job's
        started receipt was issued. Reserved blocks that are not needed are free again. Harmless to
        repeat: what is spent for a job stays its own.
        """
        if job.cost <= 0:
            self.release(job)
            return ()
        started_at = _start(job)
        problem, paid_with = self._spend(job, started_at)
        if problem:
            log.warning(
                "no allowance pays for the job, so its receipt names no blocks",
                extra=_described(job, problem),
            )
        return paid_with

    def release(self, job: PaidJob) -> None:
        """Free the blocks that are reserved for a job at a miner which it does not pay."""
        _spent_at(job).filter(job_uuid=job.uuid).delete()

    def _spend(self, job: PaidJob, started_at: int | None) -> tuple[str, tuple[int, ...]]:
        """Why no blocks pay for the job, and the blocks that do; one of them is empty."""
        now = _block_of(timezone.now())
        if started_at is None or now is None:
            return "when it started, or the block of that time, is not known", ()
        if now - started_at > self._reach:
            took = now - started_at
            return f"it took {took} blocks, more than the {self._reach} that blocks stay valid", ()
        usable = rules.blocks_for(started_at, self._expiry)
        account = self._account(job, usable, started_at)
        with transaction.atomic():
            payment = _reserve(job, account, usable, started_at)
        if payment.is_enough:
            return "", tuple(sorted(payment.blocks))
        seconds = payment.amount / PICOSECONDS
        found = f"its {len(payment.blocks)} unspent blocks give {seconds:.6f} seconds"
        return f"{found}, it costs {job.cost}", ()

    def _account(self, job: PaidJob, usable: range, started_at: int) -> Account:
        """What may be spent at the job's miner and class, before anything is."""
        offered = manifest_between(job.miner, job.executor_class, usable.start, started_at + 1)
        history = ManifestHistory((one.block, one.count) for one in manifests(offered, self._rule))
        known = self._blocks.covering(usable)
        return Account(MinerAllowances(known, history, self._rule.validator), self._spending)


def _reserve(job: PaidJob, account: Account, usable: range, started_at: int) -> rules.Payment:
    """Choose the blocks for the job and store that they, and no others, are spent for it.

    Nothing is spent for it if all together are not enough.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [f"allowance {job.miner} {job.executor_class}"])
    # Those reserved for this job may have become too old for others.
    rows = _spent_at(job).filter(Q(block__gte=usable.start) | Q(job_uuid=job.uuid))
    spent = dict(rows.order_by("block").values_list("block", "job_uuid"))
    own = [block for block, uuid in spent.items() if str(uuid) == job.uuid]
    account.spent = spent.keys() - set(own)
    candidates = dict.fromkeys([*own, *usable])
    cost = picoseconds(Fraction(job.cost))
    payment = rules.payment(account, candidates, cost=cost, started_at=started_at)
    chosen = set(payment.blocks) if payment.is_enough else set()
    if unused := set(own) - chosen:
        _spent_at(job).filter(block__in=unused).delete()
    SpentBlock.objects.bulk_create(
        SpentBlock(
            miner_hotkey=job.miner,
            executor_class=job.executor_class,
            block=block,
            job_uuid=job.uuid,
        )
        for block in sorted(chosen.difference(own))
    )
    return payment


def _spent_at(job: PaidJob) -> QuerySet[SpentBlock]:
    return SpentBlock.objects.filter(miner_hotkey=job.miner, executor_class=job.executor_class)


def _start(job: PaidJob) -> int | None:
    """The block in which the job started, by its started receipt; None when it is not known."""
    issued = IssuedReceipt.objects.filter(
        job_uuid=job.uuid, miner_hotkey=job.miner, receipt_type=ReceiptType.STARTED
    )
    # There is one; the order is that of the index.
    moment = issued.order_by("interval").values_list("issued_at", flat=True).first()
    return _block_of(moment) if moment else None


def _block_of(moment: datetime) -> int | None:
    """The block of a moment, by the reads of the chain; None before the first one."""
    before = Snapshot.objects.filter(taken_at__lte=moment).order_by("-taken_at")
    seen = before.values_list("block", flat=True).first()
    return None if seen is None else BlockTimes.read(seen, seen + 1).block(moment)


def _described(job: PaidJob, problem: str) -> dict[str, str]:
    """What is logged of a job that blocks do not pay for."""
    return {
        "job": job.uuid,
        "miner": job.miner,
        "executor_class": job.executor_class,
        "problem": problem,
    }
