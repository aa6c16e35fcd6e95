"""Runs batches of synthetic jobs and stores their results."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from compute_horde.adapters.chain_port import RAO_PER_TAO
from compute_horde.django.database import in_database
from validator.config import Config
from validator.miners.connection import Address
from validator.network.actions import ServingMiner, latest_snapshot, serving_miners
from validator.synthetic import measured, results, schedule, selection
from validator.synthetic.attempts import Attempt, blame_nobody_for_silence
from validator.synthetic.batch_run import BatchRun, RunSettings, offers_took
from validator.synthetic.confirmation import confirm_all
from validator.synthetic.control import checks, store
from validator.synthetic.control.excusing import is_excusable
from validator.synthetic.control.faults import ControlFault
from validator.synthetic.control.watch import ControlWatch
from validator.synthetic.excuses import ExcuseJudge, Place, ReceiptJudge, ReceiptRule, excuse_busy
from validator.synthetic.models import Batch
from validator.synthetic.outcomes import ANSWERED, Outcome
from validator.synthetic.schedule import OpenChain

log = logging.getLogger(__name__)

# The only write while a batch runs: one row, which tells other workers that this one lives.
HEARTBEAT_SECONDS = 10.0
DEAD_AFTER = timedelta(seconds=60)

_running_here: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[Sequence[Attempt]]]] = set()


def run_due(open_chain: OpenChain, config: Config) -> None:
    """Run the planned batch, if its slot has come and no worker started it."""
    fail_abandoned()
    miners = serving_miners(config.hotkey.ss58_address, config.reach)
    has_executors = any(any(miner.manifest.values()) for miner in miners)
    if batch := schedule.due(open_chain, config, has_executors=has_executors):
        run_batch(batch, config)


def run_extra(config: Config) -> None:
    """Run a batch now that is of no cycle; its points do not count."""
    run_batch(begin_extra(config), config)


def begin_extra(config: Config) -> Batch:
    """The row of a batch that is of no cycle, to be run at once."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    return Batch.objects.create(
        block=snapshot.block if snapshot else 0,
        seed=secrets.token_hex(32),
        alive_at=timezone.now(),
    )


def run_batch(batch: Batch, config: Config) -> None:
    """Run every attempt of a batch and store the results; failures are logged, not raised."""
    judge = ReceiptJudge(
        ReceiptRule(
            config.hotkey.ss58_address,
            config.excuse_min_stake_tao * RAO_PER_TAO,
            excuse=timedelta(seconds=config.excuse_seconds),
            interval=timedelta(seconds=config.interval_seconds),
        )
    )
    try:
        asyncio.run(_interruptible(batch, config, judge))
    except asyncio.CancelledError:
        _break_off(batch, Batch.State.INTERRUPTED, "The worker was stopped during the batch")
    except Exception as exc:
        log.exception("batch failed", extra={"batch": batch.pk})
        _break_off(batch, Batch.State.FAILED, f"{type(exc).__name__}: {exc}"[:1000])


def interrupt() -> None:
    """Cancel the batches that run in this process, because the worker stops."""
    for loop, task in list(_running_here):
        loop.call_soon_threadsafe(task.cancel)


def fail_abandoned() -> None:
    """End the batches whose worker died, and their open attempts."""
    oldest_alive = timezone.now() - DEAD_AFTER
    for batch in Batch.objects.filter(state=Batch.State.RUNNING, alive_at__lt=oldest_alive):
        _break_off(batch, Batch.State.INTERRUPTED, "The worker that ran this batch died")
        log.warning("abandoned batch ended", extra={"batch": batch.pk})


async def _interruptible(batch: Batch, config: Config, judge: ExcuseJudge) -> Sequence[Attempt]:
    task = asyncio.create_task(_run_attempts(batch, config, judge))
    entry = (asyncio.get_running_loop(), task)
    _running_here.add(entry)
    try:
        return await task
    finally:
        _running_here.discard(entry)


def _break_off(batch: Batch, state: Batch.State, problem: str) -> None:
    results.interrupt_open(batch, problem)
    _end(batch, state, problem)


def _end(batch: Batch, state: Batch.State, problem: str = "") -> None:
    Batch.objects.filter(pk=batch.pk, state=Batch.State.RUNNING).update(
        state=state, ended_at=timezone.now(), problem=problem
    )


async def _run_attempts(batch: Batch, config: Config, judge: ExcuseJudge) -> Sequence[Attempt]:
    miners = await in_database(serving_miners, config.hotkey.ss58_address, config.reach)
    settings = RunSettings(
        config.hotkey, config.timing, config.manifest_timeout_seconds, config.queue_seconds
    )
    addresses = [Address(one.hotkey, one.host, one.port) for one in miners if one.manifest]
    run = BatchRun(settings, addresses)
    heartbeat = asyncio.create_task(_send_heartbeats(batch))
    try:
        attempts = await _prepare(batch, miners, config)
        async with await checks.opened(config, attempts, run.loop_delay) as watch:
            await run.connect()
            await run.run_all(attempts)
            await confirm_all(attempts, config.hotkey)
            if any(map(is_excusable, attempts)):
                await watch.finish()
        await excuse_busy(attempts, judge, _declared(miners))
        faults = await checks.excuse_by_faults(attempts, watch, miners)
        await in_database(_store_and_end, batch, attempts, watch, faults)
        await run.send_receipts(attempts)
        return attempts
    finally:
        heartbeat.cancel()
        await run.close()


async def _prepare(
    batch: Batch, miners: Sequence[ServingMiner], config: Config
) -> Sequence[Attempt]:
    """Choose the executors of the stored manifests, make their jobs and store them."""
    manifests = {miner.hotkey: miner.manifest for miner in miners if miner.manifest}
    chosen = await in_database(selection.select, batch, manifests, config)
    attempts = await selection.make_attempts(batch, chosen, config)
    await in_database(results.store_open, batch, attempts)
    facts = {"is_full": chosen.is_full, "notes": "\n".join(chosen.notes)}
    await in_database(Batch.objects.filter(pk=batch.pk).update, **facts)
    return attempts


def _declared(miners: Sequence[ServingMiner]) -> dict[Place, int]:
    """How many executors the stored manifests have, without any caps."""
    return {
        (miner.hotkey, executor_class): count
        for miner in miners
        for executor_class, count in (miner.manifest or {}).items()
    }


def _store_and_end(
    batch: Batch, attempts: Sequence[Attempt], watch: ControlWatch, faults: Sequence[ControlFault]
) -> None:
    """Store the results and end the batch at once: a stop afterwards loses none of them."""
    problem = blame_nobody_for_silence(attempts)
    answered = {one.executor.hotkey for one in attempts if one.outcome in ANSWERED}
    worst = max((attempt.loop_delay for attempt in attempts), default=0.0)
    with transaction.atomic():
        results.store_ended(attempts)
        measured.note_answers(answered)
        store.store_targets(watch.records)
        store.store_faults(batch, faults)
        Batch.objects.filter(pk=batch.pk).update(
            offers_took_ms=offers_took(attempts) / timedelta(milliseconds=1),
            loop_delay_ms=worst * 1000,
        )
        _end(batch, Batch.State.FAILED if problem else Batch.State.DONE, problem)
    right = sum(attempt.outcome is Outcome.CORRECT for attempt in attempts)
    excused = sum(bool(attempt.control_fault) for attempt in attempts)
    extra = {"batch": batch.pk, "attempts": len(attempts), "right": right, "excused": excused}
    if problem:
        log.warning("batch failed", extra={**extra, "problem": problem})
    else:
        log.info("batch done", extra=extra)


async def _send_heartbeats(batch: Batch) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await in_database(Batch.objects.filter(pk=batch.pk).update, alive_at=timezone.now())
