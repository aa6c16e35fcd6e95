"""The formula `allowance`: the cost of users' jobs whose receipts are paid by block allowance."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.allowance import (
    BlockAllowances,
    ChainBlock,
    ManifestHistory,
    MinerAllowances,
)
from validator.scoring.facts import CycleFacts, PaidReceipt, Place, by_miner, instant
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import AllowanceParameters, ScoringParameters
from validator.scoring.points.class_points import ClassPoints, nothing, places
from validator.scoring.spending import PICOSECONDS, Account, Spend, SpendingRule, picoseconds


@dataclass(slots=True)
class SpendingTotals:
    """What the receipts of a miner and class come to; costs in picoseconds."""

    paid: int = 0
    paid_jobs: int = 0
    refused: int = 0
    refused_jobs: int = 0


def allowance_points(facts: CycleFacts, parameters: ScoringParameters) -> list[ClassPoints]:
    """The points of each registered miner in each class that matters to it."""
    totals = judged(facts, parameters.allowance)
    offered = by_miner(facts.offered)
    return [
        _of_class(
            hotkey,
            kind,
            totals.get((hotkey, kind), SpendingTotals()),
            offered.get(hotkey, {}).get(kind, 0),
        )
        for hotkey, kind in places(facts, parameters.class_weights, totals)
    ]


def judged(facts: CycleFacts, worth: AllowanceParameters) -> dict[Place, SpendingTotals]:
    """Judge the receipts by (time, job uuid, validator), the order in which all validators do.

    Of several receipts of one validator about one job at a miner only the first counts. Earlier
    receipts use up blocks, and are in no totals.
    """
    rule = SpendingRule(worth.block_expiry, worth.leeway_lower, worth.leeway_upper)
    blocks = BlockAllowances(
        [ChainBlock(one.number, one.length, one.stakes) for one in facts.blocks],
        Fraction(worth.multiplier),
    )
    histories = _histories(facts)
    nobody = ManifestHistory([])
    accounts: dict[tuple[str, Place], Account] = {}
    totals: dict[Place, SpendingTotals] = defaultdict(SpendingTotals)
    for receipt in _ordered(facts):
        place = (receipt.hotkey, receipt.executor_class)
        account = accounts.get((receipt.validator, place))
        if account is None:
            history = histories.get(place, nobody)
            account = Account(MinerAllowances(blocks, history, receipt.validator), rule)
            accounts[receipt.validator, place] = account
        cost = picoseconds(receipt.cost)
        is_paid = account.judge(Spend(cost, receipt.started_block, receipt.blocks)).paid
        if not receipt.is_earlier:
            _add(totals[place], cost, is_paid=is_paid)
    return dict(totals)


def _ordered(facts: CycleFacts) -> Iterator[PaidReceipt]:
    seen: set[tuple[str, str, str]] = set()
    for receipt in sorted(
        facts.receipts, key=lambda one: (instant(one.at), one.job_uuid, one.validator, one.hotkey)
    ):
        key = (receipt.validator, receipt.job_uuid, receipt.hotkey)
        if key not in seen:
            seen.add(key)
            yield receipt


def _histories(facts: CycleFacts) -> dict[Place, ManifestHistory]:
    changes: dict[Place, list[tuple[int, int]]] = defaultdict(list)
    for one in facts.manifests:
        changes[one.hotkey, one.executor_class].append((one.block, one.count))
    return {place: ManifestHistory(of_place) for place, of_place in changes.items()}


def _add(totals: SpendingTotals, cost: int, *, is_paid: bool) -> None:
    if is_paid:
        totals.paid += cost
        totals.paid_jobs += 1
    else:
        totals.refused += cost
        totals.refused_jobs += 1


def _of_class(
    hotkey: str, kind: ExecutorClass, totals: SpendingTotals, offered: int
) -> ClassPoints:
    items = list(_items(kind, totals)) or [nothing(kind, offered=offered, work="paid job")]
    statement = Statement(tuple(items))
    return ClassPoints(hotkey, kind, statement, statement.total, offered)


def _items(kind: ExecutorClass, totals: SpendingTotals) -> Iterator[LineItem]:
    if totals.paid_jobs:
        seconds = Fraction(totals.paid, PICOSECONDS)
        remedy = "" if seconds else "their time limits were 0"
        reason = f"jobs paid by allowance: {totals.paid_jobs}"
        yield LineItem(reason, seconds, "seconds", seconds, remedy, kind)
    if totals.refused_jobs:
        remedy = (
            "the blocks in each receipt must be unspent, young enough, given before any drop of "
            "the manifest, and cover the cost of the job"
        )
        reason = f"jobs that the allowance does not cover: {totals.refused_jobs}"
        seconds = Fraction(totals.refused, PICOSECONDS)
        yield LineItem(reason, seconds, "seconds", Fraction(0), remedy, kind)
