"""Runs batches of synthetic jobs and stores their results."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from compute_horde.cycles import Cycle, cycle_at
from compute_horde.django.database import in_database
from compute_horde.protocol.job import HordeFailed
from compute_horde.vocabulary import HordeReason, JobState, Party
from validator.config import Config
from validator.jobs import store
from validator.jobs.actions import new_uuid
from validator.jobs.models import Job
from validator.jobs.store import Event, Transition
from validator.miners.connection import Address
from validator.network.actions import latest_snapshot, serving_miners
from validator.synthetic import rules
from validator.synthetic.batch_run import Attempt, BatchRun, RunSettings
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.rules import Cost, Task

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=30)

_running_here: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[Sequence[Attempt]]]] = set()


def run_due(config: Config) -> None:
    """Run the present cycle's batch, if it is due and was not started before."""
    fail_abandoned()
    if (snapshot := latest_snapshot(config.snapshot_lifetime)) is None:
        return
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    due = rules.is_due(
        cycle, snapshot.block, offset=config.batch_offset, deadline=config.batch_deadline
    )
    # While no miner offers an executor there is nothing to test, and the batch can wait.
    has_executors = any(
        any(m.manifest.values()) for m in serving_miners(config.hotkey.ss58_address, config.reach)
    )
    if due and has_executors and (batch := claim(cycle, snapshot.block)):
        run_batch(batch, config)


def run_extra(config: Config) -> None:
    """Run a batch now at an operator's request; its points do not count."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    run_batch(_create(None, snapshot.block if snapshot else 0), config)


def claim(cycle: Cycle, block: int) -> Batch | None:
    """Create the cycle's batch; None when another worker created it before."""
    if Batch.objects.filter(cycle_start=cycle.start).exists():
        return None
    try:
        with transaction.atomic():
            return _create(cycle.start, block)
    except IntegrityError:
        return None


def _create(cycle_start: int | None, block: int) -> Batch:
    return Batch.objects.create(
        cycle_start=cycle_start, block=block, seed=secrets.token_hex(32), alive_at=timezone.now()
    )


def run_batch(batch: Batch, config: Config) -> None:
    """Run every puzzle of a batch and store the results; failures are logged, not raised."""
    try:
        attempts = asyncio.run(_interruptible(batch, config))
    except asyncio.CancelledError:
        _fail(batch, "The worker was stopped during the batch")
        return
    except Exception as exc:
        log.exception("batch failed", extra={"batch": batch.pk})
        _fail(batch, f"{type(exc).__name__}: {exc}"[:1000])
        return
    _end(batch, Batch.State.DONE)
    right = sum(attempt.points for attempt in attempts)
    log.info("batch done", extra={"batch": batch.pk, "puzzles": len(attempts), "right": right})


def interrupt() -> None:
    """Cancel the batches that run in this process, because the worker stops."""
    for loop, task in list(_running_here):
        loop.call_soon_threadsafe(task.cancel)


async def _interruptible(batch: Batch, config: Config) -> Sequence[Attempt]:
    task = asyncio.create_task(_run_puzzles(batch, config))
    entry = (asyncio.get_running_loop(), task)
    _running_here.add(entry)
    try:
        return await task
    finally:
        _running_here.discard(entry)


def fail_abandoned() -> None:
    """Fail the batches whose worker died, and their unfinished jobs."""
    oldest_alive = timezone.now() - DEAD_AFTER
    for batch in Batch.objects.filter(state=Batch.State.RUNNING, alive_at__lt=oldest_alive):
        _fail(batch, "The worker that ran this batch died")
        log.warning("abandoned batch failed", extra={"batch": batch.pk})


def _fail(batch: Batch, problem: str) -> None:
    for puzzle in batch.puzzles.filter(job__state=JobState.RECEIVED):
        _fail_puzzle(puzzle, problem)
    _end(batch, Batch.State.FAILED, problem)


def _fail_puzzle(puzzle: Puzzle, problem: str) -> None:
    failed = HordeFailed(
        job_uuid=str(puzzle.job_id),
        reported_by=Party.VALIDATOR,
        reason=HordeReason.GENERIC_ERROR,
        message=problem[:200],
    )
    event = Event(JobState.HORDE_FAILED, failed, Party.VALIDATOR)
    before = JobState.RECEIVED
    store.record(Transition(failed.job_uuid, before, puzzle.hotkey, None, events=(event,)))
    Puzzle.objects.filter(pk=puzzle.pk).update(verdict=failed.message)


def _end(batch: Batch, state: Batch.State, problem: str = "") -> None:
    Batch.objects.filter(pk=batch.pk, state=Batch.State.RUNNING).update(
        state=state, ended_at=timezone.now(), problem=problem
    )


async def _run_puzzles(batch: Batch, config: Config) -> Sequence[Attempt]:
    validator = config.hotkey.ss58_address
    miners = await in_database(serving_miners, validator, config.reach)
    cost = Cost(config.hash_image, config.hash_candidates, config.hash_seconds)
    settings = RunSettings(
        config.hotkey,
        config.timing,
        cost,
        config.manifest_timeout_seconds,
        config.queue_seconds,
        config.most_executors_per_class,
    )
    batch_run = BatchRun(
        settings, [Address(miner.hotkey, miner.host, miner.port) for miner in miners]
    )
    heartbeat = asyncio.create_task(_send_heartbeats(batch))
    try:
        manifests = await batch_run.manifests()
        tasks = rules.tasks(
            manifests, seed=batch.seed, max_per_class=config.most_executors_per_class
        )
        attempts = [Attempt(task, rules.request(task, cost, new_uuid())) for task in tasks]
        await in_database(_store_puzzles, batch, attempts)
        await batch_run.run_all(attempts)
        await in_database(_store_results, attempts)
        await batch_run.send_receipts(attempts)
        return attempts
    finally:
        heartbeat.cancel()
        await batch_run.close()


async def _send_heartbeats(batch: Batch) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await in_database(Batch.objects.filter(pk=batch.pk).update, alive_at=timezone.now())


def _store_puzzles(batch: Batch, attempts: Sequence[Attempt]) -> None:
    """Store all jobs and puzzles, before anything is sent to miners."""
    jobs = [_job(attempt) for attempt in attempts]
    puzzles = [
        _puzzle(batch, attempt.task, job) for attempt, job in zip(attempts, jobs, strict=True)
    ]
    with transaction.atomic():
        Job.objects.bulk_create(jobs, ignore_conflicts=True)
        Puzzle.objects.bulk_create(puzzles, ignore_conflicts=True)


def _job(attempt: Attempt) -> Job:
    return Job(
        uuid=attempt.request.uuid,
        state=JobState.RECEIVED,
        kind=Job.Kind.SYNTHETIC,
        executor_class=attempt.task.executor_class,
        docker_image=attempt.request.docker_image,
        spec=attempt.request.encode(),
        wanted_miner=attempt.task.hotkey,
        miner=attempt.task.hotkey,
    )


def _puzzle(batch: Batch, task: Task, job: Job) -> Puzzle:
    return Puzzle(
        batch=batch,
        job=job,
        kind=task.kind,
        seed=task.seed,
        hotkey=task.hotkey,
        executor_class=task.executor_class,
    )


def _store_results(attempts: Sequence[Attempt]) -> None:
    """Store the events and points of all attempts in one transaction."""
    with transaction.atomic():
        for attempt in attempts:
            store.record(_transition(attempt))
            Puzzle.objects.filter(job_id=attempt.request.uuid).update(
                points=attempt.points, verdict=attempt.verdict
            )


def _transition(attempt: Attempt) -> Transition:
    return Transition(
        uuid=attempt.request.uuid,
        before=JobState.RECEIVED,
        miner=attempt.task.hotkey,
        deadline=None,
        accepted_at=attempt.accepted_at,
        events=attempt.events,
        receipts=attempt.receipts,
    )
