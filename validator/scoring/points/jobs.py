"""The formula `jobs`: a point for each job that was completed or declined with an excuse."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.facts import CycleFacts, JobOutcome, by_miner
from validator.scoring.line_items import LineItem, Statement
from validator.scoring.parameters import JobParameters, ScoringParameters
from validator.scoring.points.class_points import ClassPoints, nothing, places

# How many jobs: by whether it is a user's, its outcome, and the fault that spares it.
Counts = Counter[tuple[bool, JobOutcome, str]]

# Why a job of a miner earned nothing, and what would have changed that.
WITHOUT_POINTS = {
    JobOutcome.REFUSED: (
        "refused without a valid excuse",
        "accept the job, or show receipts of enough other jobs that keep all executors busy",
    ),
    JobOutcome.FAILED: ("failed", "finish the job: its executor was lost, late or broken"),
    JobOutcome.WRONG: ("answered wrongly", "return the right answer"),
    JobOutcome.LATE: ("answered too late", "answer within the time limit of the job"),
    JobOutcome.CHEATED: ("cheated", "return the true result: another run disproved this one"),
}


def explained(outcome: JobOutcome) -> tuple[str, str]:
    """How a job counts that ended like this, and what would have made it count for more, if any."""
    if outcome is JobOutcome.EXCUSED:
        return "declined with an excuse", ""
    return WITHOUT_POINTS.get(outcome, (outcome.value, ""))


def job_points(facts: CycleFacts, parameters: ScoringParameters) -> list[ClassPoints]:
    """The points of each registered miner in each class that matters to it."""
    counts: dict[tuple[str, ExecutorClass], Counts] = {}
    for job in facts.jobs:
        if not job.is_trusted:
            place = counts.setdefault((job.hotkey, job.executor_class), Counter())
            place[job.is_organic, job.outcome, job.fault] += 1
    offered = by_miner(facts.offered)
    return [
        _of_class(
            hotkey,
            kind,
            counts.get((hotkey, kind), Counter()),
            offered.get(hotkey, {}).get(kind, 0),
            parameters.jobs,
        )
        for hotkey, kind in places(facts, parameters.class_weights, counts)
    ]


def _of_class(
    hotkey: str, kind: ExecutorClass, counts: Counts, offered: int, worth: JobParameters
) -> ClassPoints:
    items = [*_earned(kind, counts, worth), *_not_earned(kind, counts)]
    if not items:
        items = [nothing(kind, offered=offered, work="job")]
    done = _count(counts, JobOutcome.COMPLETED) + _count(counts, JobOutcome.SPARED)
    synthetic = Fraction(worth.synthetic_points) * done
    excused = Fraction(worth.excused_points) * _count(counts, JobOutcome.EXCUSED)
    size = sum(count for (is_organic, *_), count in counts.items() if not is_organic)
    return ClassPoints(hotkey, kind, Statement(tuple(items)), synthetic + excused, size)


def _count(counts: Counts, outcome: JobOutcome, *, is_organic: bool = False) -> int:
    """How many jobs ended so, whatever spares them."""
    return sum(
        count for (users, how, _), count in counts.items() if (users, how) == (is_organic, outcome)
    )


def _spared(counts: Counts, worth: JobParameters) -> Iterator[tuple[str, int, Decimal]]:
    """The jobs that faults on the validator's side spare, by fault, with their points."""
    for (is_organic, outcome, fault), count in sorted(counts.items()):
        if outcome is JobOutcome.SPARED:
            what = "users'" if is_organic else "synthetic"
            points = worth.organic_points if is_organic else worth.synthetic_points
            yield f"{what} jobs excused: {fault or 'a fault of the validator'}", count, points


def _earned(kind: ExecutorClass, counts: Counts, worth: JobParameters) -> Iterator[LineItem]:
    done, excused = JobOutcome.COMPLETED, JobOutcome.EXCUSED
    organic = _count(counts, done, is_organic=True)
    counted = organic if worth.organic_limit is None else min(organic, worth.organic_limit)
    for reason, number, points in (
        ("completed synthetic jobs", _count(counts, done), worth.synthetic_points),
        ("completed users' jobs", counted, worth.organic_points),
        (
            "synthetic jobs declined with an excuse",
            _count(counts, excused),
            worth.excused_points,
        ),
        (
            "users' jobs declined with an excuse",
            _count(counts, excused, is_organic=True),
            worth.excused_points,
        ),
        *_spared(counts, worth),
    ):
        if number:
            amount = Fraction(points) * number
            remedy = "" if amount else "these jobs earn no points with the parameters of the cycle"
            yield LineItem(reason, Fraction(number), "jobs", amount, remedy, kind)
    if organic > counted:
        reason, remedy = "users' jobs above the limit", f"only {counted} count in a cycle"
        yield LineItem(reason, Fraction(organic - counted), "jobs", Fraction(0), remedy, kind)


def _not_earned(kind: ExecutorClass, counts: Counts) -> Iterator[LineItem]:
    for is_organic in (False, True):
        for outcome, (reason, remedy) in WITHOUT_POINTS.items():
            if number := _count(counts, outcome, is_organic=is_organic):
                what = "users'" if is_organic else "synthetic"
                jobs = f"{what} jobs {reason}"
                yield LineItem(jobs, Fraction(number), "jobs", Fraction(0), remedy, kind)
