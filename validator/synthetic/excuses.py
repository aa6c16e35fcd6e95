"""Whether a miner that declined a synthetic job as busy was excused by work for others."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType
from validator.network.models import Manifest, Neuron
from validator.receipts.busy import KnownReceipt, busy_executors
from validator.receipts.queries import receipts_valid_at
from validator.scoring.excuses import is_excused
from validator.synthetic.attempts import Attempt
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

# A miner's hotkey and a class of its executors.
Place = tuple[str, ExecutorClass]
DECLINED = frozenset({Outcome.DECLINED_BUSY, Outcome.DECLINED})


@dataclass(frozen=True, slots=True)
class Excuse:
    """Whether receipts excuse a busy miner, what they show, and how many executors were free."""

    excused: bool
    reason: str
    free: int = 0


class ExcuseJudge(Protocol):
    """Decides about busy declines; called in a database thread when the batch has ended."""

    def judge(
        self,
        hotkey: str,
        executor_class: ExecutorClass,
        at: datetime,
        *,
        accepted: int,
        declared: int,
    ) -> Excuse:
        """Whether all of the miner's executors of this class had work at a moment.

        `accepted`: how many jobs of the same batch and class the miner took.
        `declared`: how many executors of the class its manifest had when the batch chose them.
        """


@dataclass(frozen=True, slots=True)
class ReceiptRule:
    """Which receipts excuse: those of `validator`, which is this one, and some of others.

    Others need `minimum_stake_rao` (10^-9 TAO) or more. Their receipts excuse for `excuse` after
    their own time, or for two `interval`s after the newest interval receipt of the job, since a job
    that ended need not have a receipt that says so here.
    """

    validator: str
    minimum_stake_rao: int
    excuse: timedelta
    interval: timedelta


class ReceiptJudge:
    """Excuses a miner whose executors had work for users, as verified receipts show.

    For one batch: it reads only once which validators have enough stake.
    """

    def __init__(self, rule: ReceiptRule) -> None:
        self._rule = rule

    def judge(
        self,
        hotkey: str,
        executor_class: ExecutorClass,
        at: datetime,
        *,
        accepted: int,
        declared: int,
    ) -> Excuse:
        """See `ExcuseJudge`.

        All executors are those of the manifest that the batch used, or of the newest one when it
        has more: a miner that declares fewer during the batch is not excused by that.
        """
        receipts = receipts_valid_at(
            hotkey,
            at,
            self._rule.validator,
            trusted=self._trusted,
            executor_class=executor_class,
        )
        busy = busy_executors(for_a_while(receipts, at, self._rule), at)[executor_class]
        counts = Manifest.objects.filter(hotkey=hotkey, executor_class=executor_class)
        executors = max(declared, counts.values_list("count", flat=True).first() or 0)
        return Excuse(
            excused=is_excused(accepted=accepted, excuses=busy, executors=executors),
            reason=f"receipts show {busy} of {executors} executors busy with users' jobs, "
            f"and {accepted} took a job of this batch",
            free=max(executors - busy - accepted, 0),
        )

    @cached_property
    def _trusted(self) -> set[str]:
        """The validators with enough stake when the first decline of a batch is judged."""
        staked = Neuron.objects.filter(registered=True, stake_rao__gte=self._rule.minimum_stake_rao)
        return set(staked.values_list("hotkey", flat=True))


async def excuse_busy(
    attempts: Sequence[Attempt], judge: ExcuseJudge, declared: Mapping[Place, int]
) -> None:
    """Excuse the attempts that were declined as busy with good reason; each earns a point.

    Of all that were declined it notes how many executors the miner had free.
    `declared`: the executors in the manifests from which the batch chose those it tested.
    """
    declined = [one for one in attempts if one.outcome in DECLINED]
    accepted = Counter(_place(one) for one in attempts if one.accepted_at)
    excuses = await in_database(_judged, declined, accepted, judge, declared)
    for attempt, excuse in zip(declined, excuses, strict=True):
        attempt.free_executors = excuse.free
        if attempt.outcome is Outcome.DECLINED_BUSY:
            attempt.excused, attempt.points = excuse.excused, int(excuse.excused)
            attempt.reason = f"{attempt.reason} ({excuse.reason})"[:REASON_CHARACTERS]


def _judged(
    declined: Sequence[Attempt],
    accepted: Counter[Place],
    judge: ExcuseJudge,
    declared: Mapping[Place, int],
) -> list[Excuse]:
    """One excuse for all that a miner declined of a class, as of its last decline in the batch."""
    moments: dict[Place, datetime] = {}
    for attempt in declined:
        place, at = _place(attempt), attempt.declined_at
        assert at is not None  # noqa: S101
        moments[place] = max(at, moments.get(place, at))
    excuses = {
        place: judge.judge(*place, at, accepted=accepted[place], declared=declared.get(place, 0))
        for place, at in moments.items()
    }
    return [excuses[_place(attempt)] for attempt in declined]


def _place(attempt: Attempt) -> Place:
    return attempt.executor.hotkey, attempt.executor.executor_class


def for_a_while(
    receipts: Collection[KnownReceipt], at: datetime, rule: ReceiptRule
) -> list[KnownReceipt]:
    """The receipts, with those of other validators valid no longer than `rule` allows at `at`."""
    newest: dict[tuple[str, str], datetime] = {}
    for one in receipts:
        if one.receipt_type is ReceiptType.INTERVAL and one.timestamp <= at:
            newest[one.job] = max(one.timestamp, newest.get(one.job, one.timestamp))

    def limited(one: KnownReceipt) -> KnownReceipt:
        if one.valid_until is None or one.validator == rule.validator:
            return one
        until = one.timestamp + rule.excuse
        if interval := newest.get(one.job):
            until = max(until, interval + 2 * rule.interval)
        return replace(one, valid_until=min(one.valid_until, until))

    return [limited(one) for one in receipts]
