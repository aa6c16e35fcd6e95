"""Chooses the executors that a batch tests, and makes their jobs."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from compute_horde.cycles import cycle_at, peak_cycle
from compute_horde.hardware import ExecutorClass
from validator.config import Config
from validator.jobs.actions import new_uuid
from validator.llm.samples import StoredSamples
from validator.network.models import Snapshot
from validator.synthetic import limits, measured
from validator.synthetic.attempts import Attempt, request
from validator.synthetic.kinds.choices import assign
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor
from validator.synthetic.limits import Limited, LimitPolicy
from validator.synthetic.models import Batch

Manifests = Mapping[str, Mapping[ExecutorClass, int]]


@dataclass
class Selection:
    """The executors to test, the new miners among their owners, and notes on the others.

    `is_full` tells whether every executor is tested that the caps allow.
    """

    executors: list[DeclaredExecutor] = field(default_factory=list)
    new_miners: set[str] = field(default_factory=set)
    is_full: bool = True
    notes: list[str] = field(default_factory=list)


def select(batch: Batch, manifests: Manifests, config: Config) -> Selection:
    """Choose the executors of these manifests that a batch tests, and remember their owners."""
    selection = choose(batch, manifests, config)
    cycle_blocks, _, _ = _cycle_facts(batch, config)
    known = measured.known_miners(list(manifests), batch.block)
    selection.new_miners = {
        hotkey
        for hotkey, miner in known.items()
        if limits.is_new_miner(
            miner.first_seen_block,
            batch.block,
            cycle_blocks=cycle_blocks,
            was_measured=miner.answered_at is not None,
            policy=config.limit_policy,
        )
    }
    return selection


def choose(batch: Batch, manifests: Manifests, config: Config) -> Selection:
    """The executors of these manifests that a batch tests; stores nothing."""
    _, peak_start, is_full = _cycle_facts(batch, config)
    online = {} if is_full else measured.online_in(peak_start)
    policy, selection = config.limit_policy, Selection(is_full=is_full)
    clipped: dict[str, int] = {}
    for hotkey, manifest in sorted(manifests.items()):
        for executor_class, declared in sorted(manifest.items()):
            if is_full:
                limited = limits.capped(declared, executor_class, policy)
            else:
                limited = _outside_peak(hotkey, executor_class, declared, online, policy)
            selection.executors += _executors(batch.seed, hotkey, executor_class, limited)
            if limited.reason:
                left_out = limited.declared - limited.tested
                clipped[limited.reason] = clipped.get(limited.reason, 0) + left_out
    selection.notes = [f"{count} not tested: {reason}" for reason, count in clipped.items()]
    return selection


async def make_attempts(batch: Batch, selection: Selection, config: Config) -> list[Attempt]:
    """A job for each chosen executor; adds to the notes what the kinds could not make."""
    facts = BatchFacts(
        batch.seed,
        config.hotkey.ss58_address,
        batch.block,
        samples=StoredSamples(config),
        reach=config.reach,
    )
    assignment = await assign(facts, selection.executors, config.kinds)
    selection.notes += assignment.notes
    attempts = []
    for prepared, kind in assignment.jobs:
        is_new = prepared.executor.hotkey in selection.new_miners
        factor = config.new_miner_time_factor if is_new else 1
        job = request(prepared, new_uuid(), factor)
        attempts.append(Attempt(prepared, kind, job, time_factor=factor))
    return attempts


def _cycle_facts(batch: Batch, config: Config) -> tuple[int, int, bool]:
    """The length of a cycle, the start of the last peak cycle, and whether to test everybody.

    All executors are tested in the peak cycle, by an operator's extra batch, and until this
    validator has completed a batch, since it knows nothing of the miners before.
    """
    snapshot = Snapshot.objects.first()
    if batch.cycle_start is None or snapshot is None:
        return 0, 0, True
    at = {"netuid": config.netuid, "tempo": snapshot.tempo}
    cycle, peak = cycle_at(batch.cycle_start, **at), peak_cycle(batch.cycle_start, **at)
    is_full = cycle == peak or not measured.has_completed_a_batch()
    return cycle.stop - cycle.start, peak.start, is_full


def _outside_peak(
    hotkey: str,
    executor_class: ExecutorClass,
    declared: int,
    online: Mapping[tuple[str, str], int | None],
    policy: LimitPolicy,
) -> Limited:
    """The limit by what was online in the peak cycle.

    When this validator failed to find that out, all declared executors count as online then.
    """
    place = hotkey, executor_class
    peak = online.get(place)
    if peak is None and place in online:
        peak = limits.capped(declared, executor_class, policy).tested
    return limits.outside_peak(declared, executor_class, peak, policy)


def _executors(
    seed: str, hotkey: str, executor_class: ExecutorClass, limited: Limited
) -> Iterable[DeclaredExecutor]:
    for number in range(limited.tested):
        text = f"{seed}:{hotkey}:{executor_class}:{number}"
        own_seed = hashlib.sha256(text.encode()).hexdigest()
        yield DeclaredExecutor(hotkey, executor_class, number, own_seed)
