"""The cycles that this validator knows of: a page of them, and one in all its stages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from compute_horde.cycles import Cycle
from validator.config import Config
from validator.operators.block_clock import BlockClock, read_clock
from validator.operators.stages import (
    TimelineStage,
    batch_stage,
    following,
    receipts_stage,
    scores_stage,
    weights_stage,
)
from validator.scores.collect import time_of
from validator.scores.models import ScoredCycle
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome
from validator.weights.explanations import problem
from validator.weights.models import WeightsSet
from validator.weights.work_due import paying

PER_PAGE = 25


@dataclass(frozen=True, slots=True)
class CycleLine:
    """One cycle in the list: the state of each stage, and what is wrong."""

    start: int
    batch: Batch | None
    right: int
    attempts: int
    scored: ScoredCycle | None
    weights: WeightsSet | None

    @property
    def ran_at(self) -> datetime | None:
        """When its batch began; None when that did not."""
        is_begun = self.batch and self.batch.state not in (
            Batch.State.PLANNED,
            Batch.State.MISSED,
        )
        return self.batch.started_at if self.batch and is_begun else None

    @property
    def problems(self) -> str:
        """What went wrong in it."""
        found = [self.batch.problem or self.batch.missed_because] if self.batch else []
        found += [problem(self.weights)] if self.weights else []
        return "; ".join(filter(None, found))


@dataclass(frozen=True, slots=True)
class CycleTimeline:
    """One cycle in all its stages; the work of a cycle is paid in the one after it."""

    cycle: Cycle
    clock: BlockClock
    began_at: datetime | None
    ended_at: datetime | None
    stages: tuple[TimelineStage, ...]

    @property
    def state(self) -> str:
        """Where the chain is in it."""
        if not self.clock.is_known:
            return "the chain was not read yet"
        if self.clock.block < self.cycle.start:
            return f"it begins at {self.clock.text(self.cycle.start)}"
        if self.clock.block < self.cycle.stop:
            return f"running; it ends at {self.clock.text(self.cycle.stop)}"
        after = following(self.cycle)
        if self.clock.block < after.stop:
            return f"over; it is paid until {self.clock.text(after.stop)}"
        return "over, as is the cycle that pays it"


def lines(before: int | None = None) -> tuple[list[CycleLine], bool]:
    """The newest cycles that began before this block, and whether there are older ones."""
    starts = sorted(set(_starts(before)), reverse=True)
    shown = starts[:PER_PAGE]
    batches = {one.cycle_start: one for one in Batch.objects.filter(cycle_start__in=shown)}
    scored = {
        one.cycle_start: one
        for one in ScoredCycle.objects.filter(cycle_start__in=shown).defer("facts", "parameters")
    }
    weights = paying(shown)
    counts = _attempts(batches.values())
    found = [
        _line(start, batches.get(start), scored.get(start), weights.get(start), counts)
        for start in shown
    ]
    return found, len(starts) > PER_PAGE


def timeline(start: int, config: Config) -> CycleTimeline | None:
    """The cycle that begins in this block; None when nothing is known of one."""
    clock = read_clock()
    cycle = _cycle(start, clock, config)
    if cycle is None:
        return None
    ended = clock.is_known and clock.block >= cycle.stop
    began = clock.is_known and clock.block >= cycle.start
    since = time_of(cycle.start) if began else None
    until = time_of(cycle.stop) if ended else None
    stages = (
        batch_stage(cycle, clock),
        receipts_stage(since, until),
        scores_stage(cycle, clock),
        weights_stage(cycle, clock),
    )
    return CycleTimeline(cycle, clock, since, until, stages)


def _cycle(start: int, clock: BlockClock, config: Config) -> Cycle | None:
    """Its blocks: as scored, or by the present tempo where it was not scored yet."""
    scored = ScoredCycle.objects.filter(cycle_start=start).values_list("cycle_stop", flat=True)
    if stop := scored.first():
        return Cycle(start, stop, 0)
    if not clock.is_known:
        return None
    now = clock.cycle(start, config.netuid)
    is_known = (
        Batch.objects.filter(cycle_start=start).exists()
        or WeightsSet.objects.filter(earned_in=start).exists()
    )
    if now.start != start and not is_known:
        return None
    return Cycle(start, start + now.stop - now.start, now.number)


def _starts(before: int | None) -> Iterator[int]:
    """The first blocks of cycles in each table: one more than a page has, of each."""
    for rows, name in (
        (Batch.objects.filter(cycle_start__isnull=False), "cycle_start"),
        (ScoredCycle.objects.all(), "cycle_start"),
        (WeightsSet.objects.all(), "earned_in"),
    ):
        older = rows if before is None else rows.filter(**{f"{name}__lt": before})
        ordered = older.order_by(f"-{name}").values_list(name, flat=True)
        yield from ordered[: PER_PAGE + 1]


def _line(
    start: int,
    batch: Batch | None,
    scored: ScoredCycle | None,
    weights: WeightsSet | None,
    counts: Mapping[int, tuple[int, int]],
) -> CycleLine:
    right, attempts = counts.get(batch.pk, (0, 0)) if batch else (0, 0)
    return CycleLine(start, batch, right, attempts, scored, weights)


def _attempts(batches: Iterable[Batch]) -> Mapping[int, tuple[int, int]]:
    """How many attempts of each batch were right, and how many there were."""
    keys = [batch.pk for batch in batches]
    rows = Puzzle.objects.filter(batch__in=keys).order_by().values_list("batch")
    counted = rows.annotate(right=Count("pk", filter=Q(outcome=Outcome.CORRECT)), all=Count("pk"))
    return {batch: (right, attempts) for batch, right, attempts in counted}
