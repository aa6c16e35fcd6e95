"""What this miner earned and lost in a cycle, from whom and why, as tables and as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Sum
from django.utils import timezone

from compute_horde.failure_messages import Unsuccessful, fault_of_message
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState, Party
from miner.earnings import rules
from miner.earnings.models import ClassPrice, CyclePay, DeclineCount, ScoreDocument
from miner.earnings.worked import work_done
from miner.hotkeys.models import CycleMainHotkey
from miner.jobs.models import Job, JobEvent

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
UNSUCCESSFUL = FINAL - {JobState.COMPLETED, JobState.CANCELLED}
RAO_PER_ALPHA = 10**9


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table of a report; `note` says what it is made of, and what to do when it is empty."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str


@dataclass(frozen=True, slots=True)
class EarningsReport:
    """The tables about one cycle; without a known cycle, about everything that is kept."""

    cycle_start: int | None
    cycle_stop: int | None
    tables: list[ReportTable] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The cycle in words."""
        if self.cycle_start is None or self.cycle_stop is None:
            return "no cycle is known: everything that is kept"
        return f"cycle of blocks {self.cycle_start} to {self.cycle_stop - 1}"

    def as_json(self) -> dict[str, Any]:
        """The report as JSON, each row by its columns."""
        tables = {
            table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            for table in self.tables
        }
        return {"cycle_start": self.cycle_start, "cycle_stop": self.cycle_stop, **tables}

    def as_text(self) -> str:
        """The report for people."""
        return "\n".join(_lines(self))


def report(cycle: CycleMainHotkey | None) -> EarningsReport:
    """The report about a cycle, or without one about everything that is kept."""
    since, until = LONG_AGO, timezone.now()
    start = stop = None
    if cycle:
        start, stop, since = cycle.cycle_start, cycle.cycle_stop, cycle.began_at
        later = CycleMainHotkey.objects.filter(cycle_start__gt=start).last()
        until = later.began_at if later else until
    tables = [
        _pay(start),
        _work(since, until),
        _scores(start),
        _declined(since, until),
        _failed(since, until),
        _prices(),
    ]
    return EarningsReport(start, stop, tables)


def _pay(start: int | None) -> ReportTable:
    rows = CyclePay.objects.all() if start is None else CyclePay.objects.filter(cycle_start=start)
    paid = rows.values_list("hotkey").annotate(rao=Sum("rao"), at=Max("read_at")).order_by("hotkey")
    return ReportTable(
        "paid",
        ("hotkey", "alpha", "read"),
        [(hotkey, _alpha(rao), f"{at:%Y-%m-%d %H:%M}") for hotkey, rao, at in paid],
        "What the chain paid in this cycle, extrapolated from its last epoch. It is for scores of "
        "earlier cycles. `python -m miner keep` reads it, if MINER_CHAIN_URL is set.",
    )


def _work(since: datetime, until: datetime) -> ReportTable:
    return ReportTable(
        "work",
        ("validator", "hotkey", "class", "kind", "jobs", "seconds", "score on receipts"),
        [
            (
                one.validator,
                one.miner,
                one.executor_class,
                "organic" if one.is_organic else "synthetic",
                str(one.jobs),
                f"{one.seconds:.1f}",
                f"{one.score:.3f}",
            )
            for one in work_done(since, until)
        ],
        "Jobs that validators closed with finished receipts in this time.",
    )


def _scores(start: int | None) -> ReportTable:
    found = ScoreDocument.objects.all()
    if start is not None:
        found = found.filter(cycle_start=start)
    rows = []
    for one in found:
        for item in json.loads(one.document)["items"]:
            rows.append(
                (
                    one.validator_hotkey,
                    one.miner_hotkey,
                    item.get("executor_class") or "",
                    str(item["amount"]),
                    f"{item['reason']}: {item['number']} {item.get('unit', '')}".strip(),
                    item.get("remedy") or "",
                )
            )
    return ReportTable(
        "scores",
        ("validator", "hotkey", "class", "share", "why", "what would change it"),
        rows,
        "What validators signed about the scores of this cycle's work, which they compute in the "
        "cycle after. They are read from the addresses in MINER_SCORE_URLS.",
    )


def _declined(since: datetime, until: datetime) -> ReportTable:
    counts = (
        DeclineCount.objects.filter(
            minute__gte=since.replace(second=0, microsecond=0), minute__lt=until
        )
        .values_list("validator_hotkey", "miner_hotkey", "executor_class", "cause", "with_excuses")
        .annotate(sum=Sum("count"))
        .order_by("validator_hotkey", "miner_hotkey", "executor_class", "cause", "with_excuses")
    )
    rows = [
        (
            *(validator, hotkey, kind, str(count)),
            cause + (", with receipts as excuses" if excused else ""),
            rules.next_step(cause),
        )
        for validator, hotkey, kind, cause, excused, count in counts
    ]
    return ReportTable(
        "declined",
        ("validator", "hotkey", "class", "jobs", "why", "next step"),
        rows,
        "Offers that this miner declined.",
    )


def _failed(since: datetime, until: datetime) -> ReportTable:
    keys = ("validator_hotkey", "miner_hotkey", "executor_class", "state", "error_type")
    groups = (
        Job.objects.filter(state__in=UNSUCCESSFUL, state_since__gte=since, state_since__lt=until)
        .values_list(*keys)
        .annotate(jobs=Count("pk"), example=Max("number"))
        .order_by(*keys)
    )
    rows = []
    for validator, hotkey, kind, state, error_type, jobs, example in groups:
        blamed, advice = _fault(example)
        why = f"{state}: {error_type or 'unknown'}, fault of {blamed}"
        rows.append((validator, hotkey, kind, str(jobs), why, advice))
    return ReportTable(
        "failed",
        ("validator", "hotkey", "class", "jobs", "why", "next step"),
        rows,
        "Jobs that were accepted and did not complete. Late and wrong answers are known to "
        "validators only: see the scores.",
    )


def _fault(number: int) -> tuple[str, str]:
    """Whose fault the end of a job is, and what to do."""
    ends = JobEvent.objects.filter(job__number=number, state__in=UNSUCCESSFUL)
    message = MINER_TO_VALIDATOR.decode(end.body) if (end := ends.last()) else None
    if isinstance(message, Unsuccessful):
        fault = fault_of_message(message, Party.MINER)
        return str(fault.blamed), fault.advice
    return "nobody known", "see the job in the admin"


def _prices() -> ReportTable:
    rows = []
    for one in ClassPrice.objects.all():
        lost = one.earned is not None and rules.is_loss(one.cost, one.earned)
        earned = "unknown" if one.earned is None else f"{one.earned:f}"
        verdict = "refused" if lost else "offered"
        source = one.get_source_display()
        rows.append((one.executor_class, f"{one.cost:f}", earned, source, f"{one.hours}", verdict))
    return ReportTable(
        "prices now",
        ("class", "costs", "earns", "by", "hours measured", "verdict"),
        rows,
        "Alpha for an hour of work of an executor, of the classes in MINER_COSTS.",
    )


def _alpha(rao: int) -> str:
    return f"{Decimal(rao) / RAO_PER_ALPHA:f}"


def _lines(one: EarningsReport) -> Iterator[str]:
    yield one.title
    for table in one.tables:
        yield ""
        yield table.title.upper()
        yield from _aligned(table.columns, table.rows) if table.rows else ["  nothing"]
        yield f"  ({table.note})"


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        line = ("  " + "  ".join(cells)).rstrip()
        # Validators write some of it, and terminals obey control characters.
        yield "".join(one if one.isprintable() else "?" for one in line)
