"""Collects the facts of a cycle from the database."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from django.db.models import QuerySet

from compute_horde.cycles import Cycle
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import JobState, ReceiptType
from validator.jobs.models import Job
from validator.network.models import Manifest, Neuron, Snapshot
from validator.receipts.models import IssuedReceipt
from validator.scoring.facts import (
    CycleFacts,
    ExecutorCount,
    JobOutcome,
    RegisteredMiner,
    WorkedJob,
)
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

# How the attempts of a batch count; those that are missing here are nobody's fault and do not.
OUTCOMES = {
    Outcome.CORRECT: JobOutcome.COMPLETED,
    Outcome.WRONG_ANSWER: JobOutcome.WRONG,
    Outcome.TOO_LATE: JobOutcome.LATE,
    Outcome.NOT_ACCEPTED: JobOutcome.FAILED,
    Outcome.NOT_READY: JobOutcome.FAILED,
    Outcome.DECLINED_BUSY: JobOutcome.REFUSED,
    Outcome.DECLINED: JobOutcome.REFUSED,
    Outcome.JOB_FAILED: JobOutcome.FAILED,
    Outcome.MINER_FAILED: JobOutcome.FAILED,
    Outcome.UNREACHABLE: JobOutcome.FAILED,
    Outcome.BROKE_PROTOCOL: JobOutcome.FAILED,
}
WORK = (ReceiptType.FINISHED, ReceiptType.INTERVAL)


def collect(cycle: Cycle) -> CycleFacts:
    """The facts of a complete cycle, as far as this validator knows them."""
    since, until = time_of(cycle.start), time_of(cycle.stop)
    seconds = _worked_seconds(since, until)
    jobs = (*_synthetic(cycle, seconds), *_organic(since, until, seconds))
    miners = Neuron.objects.filter(registered=True).order_by("uid")
    return CycleFacts(
        cycle_start=cycle.start,
        miners=tuple(RegisteredMiner(one.hotkey, one.uid, one.coldkey) for one in miners),
        jobs=tuple(sorted(jobs, key=lambda job: (job.at, job.job_uuid))),
        offered=tuple(_offered()),
    )


def time_of(block: int) -> datetime | None:
    """When `block` came: when the chain was first seen at or after it; None when it was not."""
    seen = Snapshot.objects.filter(block__gte=block).order_by("block", "id").first()
    return seen.taken_at if seen else None


def _synthetic(cycle: Cycle, seconds: dict[str, Fraction]) -> Iterator[WorkedJob]:
    attempts = Puzzle.objects.filter(
        batch__cycle_start=cycle.start, batch__state=Batch.State.DONE
    ).values_list(
        "job_id", "hotkey", "executor_class", "outcome", "excused", "blamed", "finished_at"
    )
    for uuid, hotkey, kind, ended_as, excused, blamed, finished_at in attempts:
        outcome = OUTCOMES.get(Outcome(ended_as))
        is_known = kind in ExecutorClass.__members__.values()
        is_miners = ended_as == Outcome.CORRECT or blamed == Culprit.MINER or excused
        if outcome is None or not is_known or not is_miners:
            continue
        yield WorkedJob(
            job_uuid=str(uuid),
            hotkey=hotkey,
            executor_class=ExecutorClass(kind),
            outcome=JobOutcome.EXCUSED if excused else outcome,
            at=_unix(finished_at),
            seconds=seconds.get(str(uuid), Fraction(0)),
        )


def organic_jobs(since: datetime, until: datetime | None) -> QuerySet[Job]:
    """The users' jobs that were completed in this time."""
    done = Job.objects.filter(
        kind=Job.Kind.ORGANIC, state=JobState.COMPLETED, state_since__gte=since
    )
    return done if until is None else done.filter(state_since__lt=until)


def _organic(
    since: datetime | None, until: datetime | None, seconds: dict[str, Fraction]
) -> Iterator[WorkedJob]:
    if since is None:
        return
    for uuid, hotkey, kind, ended_at in organic_jobs(since, until).values_list(
        "uuid", "miner", "executor_class", "state_since"
    ):
        if hotkey and kind in ExecutorClass.__members__.values():
            yield WorkedJob(
                job_uuid=str(uuid),
                hotkey=hotkey,
                executor_class=ExecutorClass(kind),
                outcome=JobOutcome.COMPLETED,
                is_organic=True,
                at=_unix(ended_at),
                seconds=seconds.get(str(uuid), Fraction(0)),
            )


def _worked_seconds(since: datetime | None, until: datetime | None) -> dict[str, Fraction]:
    """How long the executors of each job worked, by the receipts that this validator signed."""
    issued = IssuedReceipt.objects.filter(receipt_type__in=WORK)
    if since is not None:
        issued = issued.filter(issued_at__gte=since)
    if until is not None:
        issued = issued.filter(issued_at__lt=until)
    worked: defaultdict[str, Fraction] = defaultdict(Fraction)
    for uuid, payload in issued.values_list("job_uuid", "payload"):
        worked[str(uuid)] += Fraction(json.loads(payload)["time_took_us"] // 1000, 1000)
    return worked


def _offered() -> Iterator[ExecutorCount]:
    for row in Manifest.objects.order_by("hotkey", "executor_class"):
        if row.executor_class in ExecutorClass.__members__.values():
            yield ExecutorCount(row.hotkey, ExecutorClass(row.executor_class), row.count)


def _unix(moment: datetime | None) -> Fraction:
    """Unix time in seconds, to the millisecond."""
    return Fraction(0) if moment is None else Fraction(int(moment.timestamp() * 1000), 1000)
