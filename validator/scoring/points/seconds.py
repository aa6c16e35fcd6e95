"""The formula `seconds`: value of the class times efficiency factor times seconds of work."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.efficiency import EfficiencyRule, Willingness, WorkEvent, willingness
from validator.scoring.facts import (
    CycleFacts,
    JobOutcome,
    KnownEfficiency,
    Place,
    WorkedJob,
    by_miner,
    instant,
)
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import ScoringParameters, SecondsParameters
from validator.scoring.points.class_points import ClassPoints, nothing, places

# Jobs that count as work.
WORKED = frozenset({JobOutcome.COMPLETED, JobOutcome.SPARED})
NO_WORK = "the factor counts once the miner does work of this class"


def second_points(facts: CycleFacts, parameters: ScoringParameters) -> list[ClassPoints]:
    """The points of each registered miner in each class that matters to it."""
    worth = parameters.seconds
    jobs: dict[Place, list[WorkedJob]] = defaultdict(list)
    for job in facts.jobs:
        if not job.is_trusted:
            jobs[job.hotkey, job.executor_class].append(job)
    known = {(one.hotkey, one.executor_class): one for one in facts.efficiencies}
    offered = by_miner(facts.offered)
    return [
        _of_class(
            known.get((hotkey, kind)) or KnownEfficiency(hotkey, kind),
            jobs.get((hotkey, kind), []),
            offered.get(hotkey, {}).get(kind, 0),
            worth,
        )
        for hotkey, kind in places(facts, worth.class_values, jobs)
    ]


def willingness_after(
    known: KnownEfficiency, jobs: Iterable[WorkedJob], worth: SecondsParameters
) -> Willingness:
    """What refusals and work of a cycle make of the factor; the next cycle carries it on.

    Jobs count in the order of their end, and of their uuid where they end at the same time.
    """
    rule = EfficiencyRule(
        Fraction(worth.refusal_step),
        Fraction(worth.healing_per_hour),
        Fraction(worth.least_factor),
    )
    ordered = sorted(jobs, key=lambda job: (instant(job.at), job.job_uuid))
    return willingness(known.carried, _events(ordered), rule)


def _events(jobs: Iterable[WorkedJob]) -> Iterator[WorkEvent]:
    for job in jobs:
        if job.outcome in WORKED:
            yield WorkEvent(job.seconds)
        elif _is_refusal(job):
            yield WorkEvent(refused=True)


def _is_refusal(job: WorkedJob) -> bool:
    return job.outcome == JobOutcome.REFUSED and job.free_executors > 0


def _of_class(
    known: KnownEfficiency, jobs: list[WorkedJob], offered: int, worth: SecondsParameters
) -> ClassPoints:
    kind = known.executor_class
    value = Fraction(worth.class_values.get(kind, 0))
    items = list(_worked(kind, jobs, value))
    base = sum((item.amount for item in items), Fraction(0))
    if not items:
        items.append(nothing(kind, offered=offered, work="second of work"))
    items += _factors(known, jobs, base, worth)
    statement = Statement(tuple(items))
    return ClassPoints(known.hotkey, kind, statement, statement.total, offered)


def _worked(kind: ExecutorClass, jobs: Iterable[WorkedJob], value: Fraction) -> Iterator[LineItem]:
    seconds = {True: Fraction(0), False: Fraction(0)}
    spared: dict[str, Fraction] = defaultdict(Fraction)
    unpaid = 0
    for job in jobs:
        if job.outcome == JobOutcome.COMPLETED:
            seconds[job.is_organic] += job.seconds
        elif job.outcome == JobOutcome.SPARED:
            spared[job.fault] += job.seconds
        elif job.outcome not in (JobOutcome.EXCUSED, JobOutcome.REFUSED):
            unpaid += 1
    work = [("work on benchmarks", seconds[False]), ("work on users' jobs", seconds[True])]
    work += [(f"jobs excused: {fault}", number) for fault, number in sorted(spared.items())]
    for reason, number in work:
        if number:
            remedy = "" if value else "a second of this class has no value in this cycle"
            yield LineItem(reason, number, "seconds", value * number, remedy, kind)
    if unpaid:
        remedy = "complete jobs in time and with the right result"
        number = Fraction(unpaid)
        yield LineItem("jobs not completed", number, "jobs", Fraction(0), remedy, kind)


def _factors(
    known: KnownEfficiency, jobs: list[WorkedJob], base: Fraction, worth: SecondsParameters
) -> Iterator[LineItem]:
    """What the efficiency factor takes from `base`, the value of all seconds, or adds to it."""
    kind = known.executor_class
    change = willingness_after(known, jobs, worth)
    refused = [job.free_executors for job in jobs if _is_refusal(job)]
    measured = base * known.measured
    for reason, number, unit, amount in (
        ("measured efficiency", known.measured, "factor", measured - base),
        ("factor of earlier cycles", known.carried, "factor", measured * (known.carried - 1)),
        ("healed by work", change.healed, "of the factor", measured * change.healed),
    ):
        if amount:
            yield LineItem(reason, number, unit, amount, "", kind)
    if refused:
        reason = f"{_refusals(refused)}: factor {float(change.factor):g} in the end"
        amount = -measured * change.lost
        remedy = "" if amount else NO_WORK if not measured else "refusals took off all they may"
        yield LineItem(reason, -change.lost, "of the factor", amount, remedy, kind)


def _refusals(free: list[int]) -> str:
    if len(free) == 1:
        return f"refused while {free[0]} executor{' was' if free[0] == 1 else 's were'} free"
    return f"refused {len(free)} times while up to {max(free)} executors were free"
