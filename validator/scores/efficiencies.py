"""What the formula `seconds` knows of miners before a cycle: measured speed, and past refusals."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from statistics import fmean

from compute_horde.cycles import CYCLES_PER_DAY, Cycle
from compute_horde.hardware import ExecutorClass
from validator.network.tempos import cycle_length
from validator.scores.models import ScoredCycle
from validator.scores.recording import RecordingError, read_facts, read_parameters
from validator.scoring.facts import KnownEfficiency, Place, WorkedJob
from validator.scoring.parameters import FormulaName
from validator.scoring.points.seconds import willingness_after
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

log = logging.getLogger(__name__)

# Facts are stored as JSON numbers, which hold so many decimals exactly.
DECIMALS = 12


def efficiencies(cycle: Cycle) -> tuple[KnownEfficiency, ...]:
    """What is known of each miner and class, where it differs from 1.

    A factor is measured in the batches of the last testing day, this cycle's included, and what
    refusals left of it is that of the last cycle scored by this formula in that time. A day is as
    long as the tempo at the first block says, if these blocks are less than a cycle.
    """
    length = max(cycle.stop - cycle.start, cycle_length(cycle.start) or 0)
    since = cycle.start - (CYCLES_PER_DAY - 1) * length
    factors, left = measured(since, cycle.stop), carried(since, cycle.start)
    return tuple(
        KnownEfficiency(
            *place, factors.get(place, Fraction(1)), carried=left.get(place, Fraction(1))
        )
        for place in sorted(factors.keys() | left.keys())
    )


def measured(since: int, until: int) -> dict[Place, Fraction]:
    """The measured part of what the class promises, in the batches of cycles from `since` on.

    The mean of promised / measured time over the right answers to jobs of kinds that know what the
    class promises. Nothing counts more than 1: a machine that is fast at benchmarks earns no more.
    """
    rows = Puzzle.objects.filter(
        batch__state=Batch.State.DONE,
        batch__cycle_start__gte=since,
        batch__cycle_start__lt=until,
        outcome=Outcome.CORRECT,
        metrics__has_keys=["promised", "seconds"],
    )
    parts: dict[Place, list[float]] = defaultdict(list)
    for hotkey, name, metrics in rows.values_list("hotkey", "executor_class", "metrics"):
        if kind := ExecutorClass.known(name):
            # Of a streaming job only the time from the seed to the answer is the executor's.
            seconds = metrics.get("answering_seconds", metrics["seconds"])
            parts[hotkey, kind].append(_part(metrics["promised"], seconds))
    return {place: _rounded(fmean(each)) for place, each in parts.items()}


def carried(since: int, until: int) -> dict[Place, Fraction]:
    """What refusals left of the factors after the last such cycle that began in this time."""
    scored = (
        ScoredCycle.objects.filter(
            formula=FormulaName.SECONDS, cycle_start__gte=since, cycle_start__lt=until
        )
        .order_by("-cycle_start")
        .first()
    )
    if scored is None:
        return {}
    try:
        facts, worth = read_facts(scored.facts), read_parameters(scored.parameters).seconds
    except RecordingError as exc:
        # No window may be missed because an older version, or a miner, stored what cannot be read.
        extra = {"cycle": scored.cycle_start, "problem": str(exc)[:300]}
        log.error("past refusals are not known: an earlier cycle cannot be read", extra=extra)
        return {}
    known = {(one.hotkey, one.executor_class): one for one in facts.efficiencies}
    jobs: dict[Place, list[WorkedJob]] = defaultdict(list)
    for job in facts.jobs:
        if not job.is_trusted:
            jobs[job.hotkey, job.executor_class].append(job)
    left = {
        place: willingness_after(known.get(place) or KnownEfficiency(*place), jobs[place], worth)
        for place in known.keys() | jobs.keys()
    }
    return {place: _rounded(one.factor) for place, one in left.items() if one.factor != 1}


def usual_seconds(jobs: Iterable[WorkedJob]) -> Mapping[Place | ExecutorClass, Fraction]:
    """The mean time of completed jobs, of each miner and class and of each class, in whole ms."""
    times: dict[Place | ExecutorClass, list[Fraction]] = defaultdict(list)
    for job in jobs:
        times[job.hotkey, job.executor_class].append(job.seconds)
        times[job.executor_class].append(job.seconds)
    return {
        key: Fraction(round(sum(each, Fraction(0)) / len(each) * 1000), 1000)
        for key, each in times.items()
    }


def _part(promised: float, seconds: float) -> float:
    return 1.0 if seconds <= promised else promised / seconds


def _rounded(number: float | Fraction) -> Fraction:
    return Fraction(round(Fraction(number) * 10**DECIMALS), 10**DECIMALS)
