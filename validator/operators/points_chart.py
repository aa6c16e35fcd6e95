"""Charts of what miners earned in each class over cycles, from a bounded number of rows."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from django.db.models import Sum

from compute_horde.django.charts import MAX_LINES, Line, LineChart
from compute_horde.hardware import ExecutorClass
from validator.scores.models import Score, ScoredCycle
from validator.synthetic.models import Batch, Puzzle

MOST_CYCLES, MOST_MINERS = 100, 20
DEFAULT_CYCLES, DEFAULT_MINERS = 30, 10
SHOWN_HOTKEY = 12
# What a line item of no class is called, such as the part that is burned.
NO_CLASS = "no class"

# By cycle, then by miner and class.
Values = Mapping[int, Mapping[tuple[str, str], Decimal]]


class Measure(StrEnum):
    """What is counted."""

    SHARE = "share"
    POINTS = "points"


TITLES = {
    Measure.SHARE: "Share of all weights, by miner and class (percent)",
    Measure.POINTS: "Points of benchmarks, by miner and class",
}


@dataclass(frozen=True, slots=True)
class ChartChoice:
    """What is shown: the newest cycles, and the miners that earned most in them, or one miner."""

    measure: Measure = Measure.SHARE
    cycles: int = DEFAULT_CYCLES
    miners: int = DEFAULT_MINERS
    executor_class: str = ""
    hotkey: str = ""


def choice(query: Mapping[str, str]) -> ChartChoice:
    """The choice of a page's query; what is unknown or out of bounds is brought into bounds."""
    wanted = query.get("measure", "")
    name = query.get("executor_class", "")
    return ChartChoice(
        Measure(wanted) if wanted in set(Measure) else Measure.SHARE,
        _bounded(query.get("cycles", ""), DEFAULT_CYCLES, MOST_CYCLES),
        _bounded(query.get("miners", ""), DEFAULT_MINERS, MOST_MINERS),
        name if ExecutorClass.known(name) else "",
        query.get("hotkey", "").strip()[:64],
    )


def chart(chosen: ChartChoice) -> LineChart:
    """The chart of a choice: a line for each miner and class, the largest ones first."""
    values = _points(chosen) if chosen.measure is Measure.POINTS else _shares(chosen)
    cycles = sorted(values)
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for of_cycle in values.values():
        for place, value in of_cycle.items():
            totals[place] += value
    shown = sorted((one for one in totals if totals[one] > 0), key=lambda one: (-totals[one], one))
    lines = [
        Line(
            f"{hotkey[:SHOWN_HOTKEY]} {kind}",
            [_number(values[cycle].get((hotkey, kind))) for cycle in cycles],
        )
        for hotkey, kind in shown[:MAX_LINES]
    ]
    labels = [str(cycle) for cycle in cycles]
    return LineChart(TITLES[chosen.measure], labels, lines, "cycle", chosen.measure.value)


def _shares(chosen: ChartChoice) -> Values:
    """The sums of the line items of each score, by class; they add up to the miner's share."""
    newest = ScoredCycle.objects.order_by("-cycle_start").values_list("pk", "cycle_start")
    starts = dict(newest[: chosen.cycles])
    scores = Score.objects.filter(cycle__in=list(starts)).order_by()
    if chosen.hotkey:
        hotkeys = [chosen.hotkey]
    else:
        shares = scores.values_list("hotkey").annotate(total=Sum("share"))
        top = shares.filter(total__gt=0).order_by("-total", "hotkey")[: chosen.miners]
        hotkeys = [hotkey for hotkey, _ in top]
    values: dict[int, dict[tuple[str, str], Decimal]] = {start: {} for start in starts.values()}
    documents = scores.filter(hotkey__in=hotkeys).values_list("cycle", "hotkey", "document")
    for cycle, hotkey, document in documents:
        sums = values[starts[cycle]]
        for kind, amount in _items(document):
            if not chosen.executor_class or kind == chosen.executor_class:
                sums[hotkey, kind] = sums.get((hotkey, kind), Decimal(0)) + amount * 100
    return values


def _items(document: str) -> Iterator[tuple[str, Decimal]]:
    for item in json.loads(document)["items"]:
        yield item["executor_class"] or NO_CLASS, Decimal(item["amount"])


def _points(chosen: ChartChoice) -> Values:
    """The points of the attempts in the batches of the newest cycles."""
    batches = Batch.objects.filter(cycle_start__isnull=False, state=Batch.State.DONE)
    newest = batches.order_by("-cycle_start").values_list("pk", "cycle_start")
    starts = {pk: start for pk, start in newest[: chosen.cycles] if start is not None}
    attempts = Puzzle.objects.filter(batch__in=list(starts), points__gt=0).order_by()
    if chosen.executor_class:
        attempts = attempts.filter(executor_class=chosen.executor_class)
    if chosen.hotkey:
        attempts = attempts.filter(hotkey=chosen.hotkey)
    summed = attempts.values_list("batch", "hotkey", "executor_class").annotate(sum=Sum("points"))
    rows = list(summed)
    top = _top([(hotkey, points) for _, hotkey, _, points in rows], chosen.miners)
    values: dict[int, dict[tuple[str, str], Decimal]] = {start: {} for start in starts.values()}
    for batch, hotkey, kind, points in rows:
        if hotkey in top:
            values[starts[batch]][hotkey, kind] = Decimal(points)
    return values


def _top(earned: Sequence[tuple[str, int]], count: int) -> set[str]:
    totals: dict[str, int] = defaultdict(int)
    for hotkey, points in earned:
        totals[hotkey] += points
    return set(sorted(totals, key=lambda hotkey: (-totals[hotkey], hotkey))[:count])


def _bounded(text: str, default: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        return default
    return max(1, min(int(text), most))


def _number(value: Decimal | None) -> float | None:
    """What a chart shows of it; a miner without a score then has none, which is not 0."""
    return None if value is None else round(float(value), 6)
