"""Stores the attempts of a batch: before the first offer, when all have ended, or when it broke."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from compute_horde.faults import Culprit
from compute_horde.protocol.job import HordeFailed
from compute_horde.vocabulary import HordeReason, JobState, Party
from validator.jobs.bulk_store import record_all
from validator.jobs.models import Job
from validator.jobs.store import Event, Transition
from validator.synthetic.attempts import Attempt
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import REASON_CHARACTERS, Outcome

# Attempts written by one statement.
ATTEMPTS_AT_ONCE = 500
_UPDATE = """
UPDATE synthetic_puzzle SET points = new.points, verdict = new.verdict, outcome = new.outcome,
    blamed = new.blamed, excused = new.excused, metrics = new.metrics,
    offered_at = new.offered_at, accepted_at = new.accepted_at, ready_at = new.ready_at,
    started_at = new.started_at, finished_at = new.finished_at, loop_delay_ms = new.loop_delay_ms,
    control_fault = new.control_fault, free_executors = new.free_executors
FROM unnest(
    %(jobs)s::uuid[], %(points)s::int[], %(verdicts)s::text[], %(outcomes)s::text[],
    %(blamed)s::text[], %(excused)s::bool[], %(metrics)s::jsonb[], %(offered)s::timestamptz[],
    %(accepted)s::timestamptz[], %(ready)s::timestamptz[], %(started)s::timestamptz[],
    %(finished)s::timestamptz[], %(delays)s::float8[], %(faults)s::text[], %(free)s::int[]
) AS new (job_id, points, verdict, outcome, blamed, excused, metrics, offered_at, accepted_at,
    ready_at, started_at, finished_at, loop_delay_ms, control_fault, free_executors)
WHERE synthetic_puzzle.job_id = new.job_id
"""


def store_open(batch: Batch, attempts: Sequence[Attempt]) -> None:
    """Store all jobs and attempts, before anything is sent to miners."""
    jobs = [_job(attempt) for attempt in attempts]
    with transaction.atomic():
        Job.objects.bulk_create(jobs, ignore_conflicts=True)
        Puzzle.objects.bulk_create(
            [_puzzle(batch, attempt) for attempt in attempts], ignore_conflicts=True
        )


def store_ended(attempts: Sequence[Attempt]) -> None:
    """Store how attempts ended, with their jobs' events and receipts; harmless to repeat."""
    for first in range(0, len(attempts), ATTEMPTS_AT_ONCE):
        part = attempts[first : first + ATTEMPTS_AT_ONCE]
        with transaction.atomic():
            record_all([_transition(attempt) for attempt in part])
            _update(part)


def interrupt_open(batch: Batch, problem: str) -> int:
    """End the open attempts of a batch, and their jobs; nobody is blamed. Returns how many."""
    left = Puzzle.objects.filter(batch=batch, outcome=Outcome.OPEN)
    jobs = list(left.filter(job__state=JobState.RECEIVED).values_list("job_id", "hotkey"))
    with transaction.atomic():
        record_all([_interrupted(str(uuid), hotkey, problem) for uuid, hotkey in jobs])
        return left.update(
            outcome=Outcome.INTERRUPTED, blamed=Culprit.NOBODY, verdict=problem[:200]
        )


def _interrupted(uuid: str, hotkey: str, problem: str) -> Transition:
    failed = HordeFailed(
        job_uuid=uuid,
        reported_by=Party.VALIDATOR,
        reason=HordeReason.GENERIC_ERROR,
        message=problem[:200],
    )
    event = Event(JobState.HORDE_FAILED, failed, Party.VALIDATOR)
    return Transition(uuid, JobState.RECEIVED, hotkey, None, events=(event,))


def _job(attempt: Attempt) -> Job:
    return Job(
        uuid=attempt.request.uuid,
        state=JobState.RECEIVED,
        kind=Job.Kind.SYNTHETIC,
        executor_class=attempt.executor.executor_class,
        docker_image=attempt.request.docker_image,
        spec=attempt.request.encode(),
        wanted_miner=attempt.executor.hotkey,
        miner=attempt.executor.hotkey,
    )


def _puzzle(batch: Batch, attempt: Attempt) -> Puzzle:
    return Puzzle(
        batch=batch,
        job_id=attempt.request.uuid,
        kind=attempt.prepared.kind,
        seed=attempt.executor.seed,
        hotkey=attempt.executor.hotkey,
        executor_class=attempt.executor.executor_class,
        is_new_miner=attempt.time_factor > 1,
    )


def _transition(attempt: Attempt) -> Transition:
    return Transition(
        uuid=attempt.request.uuid,
        before=JobState.RECEIVED,
        miner=attempt.executor.hotkey,
        deadline=None,
        accepted_at=attempt.accepted_at,
        events=attempt.events,
        receipts=attempt.receipts,
    )


def _update(attempts: Sequence[Attempt]) -> None:
    def moments(name: str) -> list[datetime | None]:
        return [getattr(attempt.times, name) for attempt in attempts]

    values: dict[str, Any] = {
        "jobs": [attempt.request.uuid for attempt in attempts],
        "points": [attempt.points for attempt in attempts],
        "verdicts": [attempt.reason[:REASON_CHARACTERS] for attempt in attempts],
        "outcomes": _texts(attempt.outcome for attempt in attempts),
        "blamed": _texts(attempt.blamed for attempt in attempts),
        "excused": [attempt.excused for attempt in attempts],
        "faults": _texts(attempt.control_fault for attempt in attempts),
        "free": [attempt.free_executors for attempt in attempts],
        "metrics": [Jsonb(attempt.metrics) for attempt in attempts],
        "delays": [attempt.loop_delay * 1000 for attempt in attempts],
        **{name: moments(name) for name in ("offered", "accepted", "ready", "started", "finished")},
    }
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, values)


def _texts(values: Iterable[str]) -> list[str]:
    return [str(value) for value in values]
