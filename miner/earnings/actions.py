"""Keeps what is known of earnings up to date, and the minimum price that follows from it."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from compute_horde.cycles import NOMINAL_EPOCHS_PER_CYCLE
from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from compute_horde.hardware import ExecutorClass
from miner.earnings import rules, score_client
from miner.earnings.models import ClassPrice, CyclePay, DeclineCount, ScoreDocument
from miner.earnings.rules import Measured, PaidWork
from miner.earnings.score_client import ScoreSource
from miner.earnings.worked import worked_hours
from miner.following import follow
from miner.hotkeys.models import CycleMainHotkey
from miner.validators.models import Validator

log = logging.getLogger(__name__)

CHANNEL = "miner_prices"
# What a class earns is measured over the work of so many cycles, about a day.
MEASURED_CYCLES = 10
# Work is scored, and weights are set by it, in the cycle after; the one after that pays by them.
PAID_AFTER = 2
RAO_PER_ALPHA = 10**9

Prices = Mapping[ExecutorClass, Decimal]


def read_scores(urls: Mapping[str, str], hotkeys: Sequence[str]) -> int:
    """Fetch and store the newest scores of these hotkeys; `urls` by validator. How many."""
    sources = [ScoreSource(v, url, hotkey) for v, url in urls.items() for hotkey in hotkeys]
    found = asyncio.run(score_client.fetch_all(sources))
    ScoreDocument.objects.bulk_create(
        (
            ScoreDocument(
                validator_hotkey=source.validator,
                miner_hotkey=source.hotkey,
                cycle_start=score.cycle_start,
                cycle_stop=score.cycle_stop,
                document=signed.document,
                signature=signed.signature,
            )
            for source, score, signed in found
        ),
        ignore_conflicts=True,
    )
    return len(found)


def record_pay(cycle_start: int, paid_per_epoch: Mapping[str, int]) -> None:
    """Store what the chain paid each hotkey, in rao, in the last epoch seen in this cycle."""
    CyclePay.objects.bulk_create(
        (
            CyclePay(
                cycle_start=cycle_start,
                hotkey=hotkey,
                rao=rao * NOMINAL_EPOCHS_PER_CYCLE,
                read_at=timezone.now(),
            )
            for hotkey, rao in paid_per_epoch.items()
        ),
        update_conflicts=True,
        unique_fields=["cycle_start", "hotkey"],
        update_fields=["rao", "read_at"],
    )


def update_prices(costs: Prices, prices: Prices) -> None:
    """Compare what each class costs with what it earns, by the settings or as measured."""
    measured = measure() if set(costs) - set(prices) else None
    rows = [_price(kind, cost, prices.get(kind), measured) for kind, cost in costs.items()]
    with transaction.atomic():
        before = losses()
        ClassPrice.objects.exclude(executor_class__in=list(costs)).delete()
        ClassPrice.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["executor_class"],
            update_fields=["cost", "earned", "source", "hours", "updated_at"],
        )
        if (after := losses()) != before:
            notify(CHANNEL)
            log.info("classes that would lose money", extra={"classes": sorted(after)})


def _price(
    kind: ExecutorClass, cost: Decimal, setting: Decimal | None, measured: Measured | None
) -> ClassPrice:
    earned, source, hours = setting, ClassPrice.Source.SETTING, Decimal(0)
    if setting is None and measured:
        earned, hours = measured.price(kind), measured.hours(kind)
        known = earned is not None
        source = ClassPrice.Source.MEASURED if known else ClassPrice.Source.UNKNOWN
    return ClassPrice(
        executor_class=kind,
        cost=cost,
        earned=earned,
        source=source,
        hours=hours,
        updated_at=timezone.now(),
    )


def measure() -> Measured:
    """The work of the last cycles whose pay is known: hours, pay, and which classes brought it.

    A cycle is left out without the cycles that score and pay its work, their pay, or scores.
    """
    cycles = list(CycleMainHotkey.objects.all()[: MEASURED_CYCLES + PAID_AFTER + 1])
    by_start = {one.cycle_start: one for one in cycles}
    pay = dict(
        # The present cycle is not over.
        CyclePay.objects.filter(cycle_start__in=[one.cycle_start for one in cycles[1:]])
        .values_list("cycle_start")
        .order_by("cycle_start")
        .annotate(rao=Sum("rao"))
    )
    stakes = dict(Validator.objects.values_list("hotkey", "stake"))
    measured = []
    for work in cycles:
        scoring = by_start.get(work.cycle_stop)
        rao = pay.get(scoring.cycle_stop) if scoring else None
        documents = ScoreDocument.objects.filter(cycle_start=work.cycle_start)
        if scoring is None or rao is None or not documents:
            continue
        shares = rules.class_shares(
            (stakes.get(one.validator_hotkey) or Decimal(1), json.loads(one.document))
            for one in documents
        )
        hours = worked_hours(work.began_at, scoring.began_at)
        measured.append(PaidWork(Decimal(rao) / RAO_PER_ALPHA, shares, hours))
    return Measured(measured)


def losses() -> dict[ExecutorClass, str]:
    """The classes whose jobs would lose money, and what validators are told then."""
    return {
        kind: rules.loss_text(kind, row.cost, row.earned)
        for row in ClassPrice.objects.all()
        if row.earned is not None
        and rules.is_loss(row.cost, row.earned)
        and (kind := ExecutorClass.known(row.executor_class))
    }


def evict(before: datetime, before_cycle: int | None) -> int:
    """Delete declined offers and scores of before a time, and what is about earlier cycles."""
    deleted = DeclineCount.objects.filter(minute__lt=before).delete()[0]
    # Validators write what cycle a score is of, so that says not enough about its age.
    old = Q(fetched_at__lt=before)
    if before_cycle is not None:
        deleted += CyclePay.objects.filter(cycle_start__lt=before_cycle).delete()[0]
        old |= Q(cycle_start__lt=before_cycle)
    return deleted + ScoreDocument.objects.filter(old).delete()[0]


class MinimumPrices:
    """The classes whose jobs would lose money, in memory; `follow` reads them after changes."""

    def __init__(self) -> None:
        self.losses: dict[ExecutorClass, str] = {}

    async def read(self) -> None:
        """Read them from the database."""
        self.losses = await in_database(losses)

    async def follow(self, on_change: Callable[[], None]) -> None:
        """Read them after every change and call `on_change`; never returns."""

        async def read() -> None:
            before = self.losses
            await self.read()
            if self.losses != before:
                on_change()

        await follow(CHANNEL, read)
