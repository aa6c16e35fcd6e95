"""A batch from its beginning to its points."""

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
from validator.jobs import ledger
from validator.jobs.actions import new_uuid
from validator.jobs.ledger import Fact, Move
from validator.jobs.lines import Address
from validator.jobs.models import Job
from validator.network.actions import last_look, serving_miners
from validator.synthetic import rules
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.round import Attempt, Manner, Round
from validator.synthetic.rules import Cost, Task

log = logging.getLogger(__name__)

SIGN_OF_LIFE_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=30)

_held_here: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[Sequence[Attempt]]]] = set()


def run_due(config: Config) -> None:
    """Hold the present cycle's batch, if it is time and nobody has begun it."""
    bury_dead()
    if (seen := last_look(config.look_lasts)) is None:
        return
    cycle = cycle_at(seen.block, netuid=config.netuid, tempo=seen.tempo)
    due = rules.is_due(
        cycle, seen.block, offset=config.batch_offset, deadline=config.batch_deadline
    )
    # Before anybody declared an executor there is nothing to test: the batch can wait.
    someone = any(any(m.manifest.values()) for m in serving_miners(config.hotkey.ss58_address))
    if due and someone and (batch := claim(cycle, seen.block)):
        hold(batch, config)


def run_extra(config: Config) -> None:
    """Hold a batch now, because an operator wants to see one; it earns nothing."""
    seen = last_look(config.look_lasts)
    hold(_begun(None, seen.block if seen else 0), config)


def claim(cycle: Cycle, block: int) -> Batch | None:
    """The cycle's batch, ours to hold; None when it was begun before."""
    if Batch.objects.filter(cycle_start=cycle.start).exists():
        return None
    try:
        with transaction.atomic():
            return _begun(cycle.start, block)
    except IntegrityError:
        return None


def _begun(cycle_start: int | None, block: int) -> Batch:
    return Batch.objects.create(
        cycle_start=cycle_start, block=block, seed=secrets.token_hex(32), alive_at=timezone.now()
    )


def hold(batch: Batch, config: Config) -> None:
    """Set every puzzle, check every answer, store what they earned."""
    try:
        attempts = asyncio.run(_interruptible(batch, config))
    except asyncio.CancelledError:
        _fail(batch, "The worker was stopped during the batch")
        return
    except Exception as exc:
        log.exception("batch failed", extra={"batch": batch.pk})
        _fail(batch, f"{type(exc).__name__}: {exc}"[:1000])
        return
    _ended(batch, Batch.State.DONE)
    right = sum(attempt.points for attempt in attempts)
    log.info("batch done", extra={"batch": batch.pk, "puzzles": len(attempts), "right": right})


def interrupt() -> None:
    """The worker stops: so do the batches it holds."""
    for loop, task in list(_held_here):
        loop.call_soon_threadsafe(task.cancel)


async def _interruptible(batch: Batch, config: Config) -> Sequence[Attempt]:
    task = asyncio.create_task(_held(batch, config))
    here = (asyncio.get_running_loop(), task)
    _held_here.add(here)
    try:
        return await task
    finally:
        _held_here.discard(here)


def bury_dead() -> None:
    """End the batches whose worker died, and every job they left running."""
    long_ago = timezone.now() - DEAD_AFTER
    for batch in Batch.objects.filter(state=Batch.State.RUNNING, alive_at__lt=long_ago):
        _fail(batch, "The worker that held this batch died")
        log.warning("dead batch buried", extra={"batch": batch.pk})


def _fail(batch: Batch, problem: str) -> None:
    for puzzle in batch.puzzles.filter(job__state=JobState.RECEIVED):
        _bury(puzzle, problem)
    _ended(batch, Batch.State.FAILED, problem)


def _bury(puzzle: Puzzle, problem: str) -> None:
    died = HordeFailed(
        job_uuid=str(puzzle.job_id),
        reported_by=Party.VALIDATOR,
        reason=HordeReason.GENERIC_ERROR,
        message=problem[:200],
    )
    fact = Fact(JobState.HORDE_FAILED, died, Party.VALIDATOR)
    before = JobState.RECEIVED
    ledger.record(Move(died.job_uuid, before, fact.state, puzzle.hotkey, None, facts=(fact,)))
    Puzzle.objects.filter(pk=puzzle.pk).update(verdict=died.message)


def _ended(batch: Batch, state: Batch.State, problem: str = "") -> None:
    Batch.objects.filter(pk=batch.pk, state=Batch.State.RUNNING).update(
        state=state, ended_at=timezone.now(), problem=problem
    )


async def _held(batch: Batch, config: Config) -> Sequence[Attempt]:
    validator = config.hotkey.ss58_address
    miners = await in_database(serving_miners, validator)
    cost = Cost(config.hash_image, config.hash_candidates, config.hash_seconds)
    manner = Manner(
        config.hotkey,
        config.patience,
        cost,
        config.manifest_timeout_seconds,
        config.queue_seconds,
        config.most_executors_per_class,
    )
    play = Round(manner, [Address(miner.hotkey, miner.host, miner.port) for miner in miners])
    pulse = asyncio.create_task(_pulse(batch))
    try:
        manifests = await play.manifests()
        tasks = rules.tasks(
            manifests, seed=batch.seed, most_per_class=config.most_executors_per_class
        )
        attempts = [Attempt(task, rules.request(task, cost, new_uuid())) for task in tasks]
        await in_database(_begin, batch, attempts)
        await play.play(attempts)
        await in_database(_store, attempts)
        await play.pay(attempts)
        return attempts
    finally:
        pulse.cancel()
        await play.close()


async def _pulse(batch: Batch) -> None:
    while True:
        await asyncio.sleep(SIGN_OF_LIFE_SECONDS)
        await in_database(Batch.objects.filter(pk=batch.pk).update, alive_at=timezone.now())


def _begin(batch: Batch, attempts: Sequence[Attempt]) -> None:
    """Every job and puzzle before the first word is said."""
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


def _store(attempts: Sequence[Attempt]) -> None:
    """All that was heard and what it earned, or nothing of it."""
    with transaction.atomic():
        for attempt in attempts:
            ledger.record(_move(attempt))
            Puzzle.objects.filter(job_id=attempt.request.uuid).update(
                points=attempt.points, verdict=attempt.verdict
            )


def _move(attempt: Attempt) -> Move:
    return Move(
        uuid=attempt.request.uuid,
        before=JobState.RECEIVED,
        after=attempt.state,
        miner=attempt.task.hotkey,
        deadline=None,
        accepted_at=attempt.accepted_at,
        facts=attempt.facts,
        receipts=attempt.receipts,
    )
