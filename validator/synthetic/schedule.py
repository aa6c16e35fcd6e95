"""Plans one batch per cycle, finds the one that is due, and names the reason of each missed one."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from django.db.models import QuerySet
from django.utils import timezone

from compute_horde.adapters.chain_port import Chain, Metagraph
from compute_horde.cycles import Cycle, cycle_at
from compute_horde.errors import ChainError
from validator.config import Config
from validator.network.actions import latest_snapshot
from validator.synthetic import slots
from validator.synthetic.models import Batch

log = logging.getLogger(__name__)

OpenChain = Callable[[], AbstractContextManager[Chain]]
State, Missed = Batch.State, Batch.Missed
# The newest block is read from the chain when a slot is so near; before that, snapshots do.
NEAR_BLOCKS = 20
# Of the cycles without a row, so many are stored as missed.
MAX_GAP_CYCLES = 24


def plan(open_chain: OpenChain, config: Config) -> None:
    """Plan the batch of the present cycle, unless it is planned, and note the missed ones."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        _note_unreadable()
        return
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    this_cycle = Batch.objects.filter(cycle_start=cycle.start)
    this_cycle.exclude(state=State.PLANNED).exclude(unreadable_at=None).update(unreadable_at=None)
    if this_cycle.exclude(slot_block=None).exists():
        return
    _close_earlier(cycle)
    batch = _row(cycle)
    if batch.state != State.PLANNED or batch.slot_block is not None:
        return
    try:
        with open_chain() as chain:
            _place(batch, cycle, chain, config)
    except ChainError as exc:
        problem = f"The chain could not be read to plan the batch: {exc}"[:1000]
        _planned(batch).update(missed_because=Missed.CHAIN_UNREADABLE, problem=problem)
        log.warning("batch not planned yet", extra={"cycle": cycle.start, "problem": problem})


def due(open_chain: OpenChain, config: Config, *, has_executors: bool) -> Batch | None:
    """The planned batch whose slot has come, claimed by this worker; None when there is none.

    While no miner offers an executor there is nothing to test, and while another batch runs it has
    the executors: the batch waits until its slot is over.
    """
    batch = Batch.objects.filter(state=State.PLANNED, slot_block__isnull=False).first()
    if batch is None:
        return None
    slot, until = batch.slot_block, batch.slot_until
    assert slot is not None and until is not None  # noqa: S101, PT018
    block = _present_block(open_chain, slot, config)
    if block is None or block < slot:
        return None
    if block > until:
        _miss_slot(batch, block)
        return None
    if not has_executors:
        problem = "No miner has declared an executor"
        _planned(batch).update(missed_because=Missed.NO_EXECUTORS, problem=problem)
        return None
    if other := Batch.objects.filter(state=State.RUNNING).first():
        # It has the executors that this one would test, and would make their miners decline.
        problem = f"Batch {other.pk} was still running"
        _planned(batch).update(missed_because=Missed.WORKER_DOWN, problem=problem)
        return None
    return claim(batch, block)


def claim(batch: Batch, block: int) -> Batch | None:
    """Start a planned batch; None when another worker did, or it is planned no longer."""
    now = timezone.now()
    started = _planned(batch).update(
        state=State.RUNNING,
        block=block,
        started_at=now,
        alive_at=now,
        missed_because="",
        problem="",
    )
    return Batch.objects.get(pk=batch.pk) if started else None


def _planned(batch: Batch) -> QuerySet[Batch]:
    return Batch.objects.filter(pk=batch.pk, state=State.PLANNED)


def _row(cycle: Cycle) -> Batch:
    defaults = {
        "block": cycle.start,
        "state": State.PLANNED,
        "seed": secrets.token_hex(32),
        "alive_at": timezone.now(),
    }
    return Batch.objects.get_or_create(cycle_start=cycle.start, defaults=defaults)[0]


def _place(batch: Batch, cycle: Cycle, chain: Chain, config: Config) -> None:
    """Give the batch its slot, or note why this validator has none."""
    metagraph = _metagraph_at(chain, cycle.start)
    us, policy = config.hotkey.ss58_address, config.slot_policy
    neurons = {neuron.hotkey: neuron for neuron in metagraph.neurons}
    stakes = {hotkey: neuron.total_stake_rao for hotkey, neuron in neurons.items()}
    if us not in neurons:
        _miss(batch, Missed.NOT_REGISTERED, "This hotkey is not registered on the subnet")
        return
    if not neurons[us].validator_permit and not policy.outside:
        _miss(batch, Missed.NO_PERMIT, "This hotkey has no validator permit")
        return
    seed = chain.block_hash(slots.seed_block(cycle))
    slot = slots.slot(cycle, us, stakes, seed, policy)
    if slot is None:
        text = (
            f"This validator is not among the {policy.size} with the highest stakes of at least "
            f"{policy.min_stake_rao / 10**9:g} TAO: it has {stakes[us] / 10**9:g} TAO"
        )
        _miss(batch, Missed.NOT_IN_SET, text)
        return
    _planned(batch).filter(slot_block=None).update(
        block=slot.block,
        slot_block=slot.block,
        slot_until=slot.until,
        slot_index=slot.index,
        slot_count=slot.count,
        missed_because="",
        problem="",
    )
    log.info("batch planned", extra={"cycle": cycle.start, "block": slot.block})


def _metagraph_at(chain: Chain, block: int) -> Metagraph:
    """The neurons when the cycle began, or now if the node no longer knows that block."""
    try:
        return chain.metagraph(block)
    except ChainError as exc:
        log.warning("stakes are read at the newest block", extra={"problem": str(exc)})
        return chain.metagraph()


def _present_block(open_chain: OpenChain, slot: int, config: Config) -> int | None:
    """The newest block, from the chain when the slot is near; None when no block is known."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    known = snapshot.block if snapshot else None
    if known is not None and (known >= slot or slot - known > NEAR_BLOCKS):
        return known
    try:
        with open_chain() as chain:
            return chain.head()
    except ChainError as exc:
        log.warning("newest block unknown", extra={"problem": str(exc)})
        _note_unreadable()
        return known


def _note_unreadable() -> None:
    """Note on the newest row that the chain cannot be read, for the cycles that follow it."""
    newest = Batch.objects.filter(cycle_start__isnull=False).order_by("-cycle_start").first()
    if newest:
        Batch.objects.filter(pk=newest.pk).update(unreadable_at=timezone.now())


def _miss_slot(batch: Batch, block: int) -> None:
    where = f"from block {batch.slot_block} to {batch.slot_until}; it was first seen late, at"
    if batch.missed_because:
        _miss(batch, Missed(batch.missed_because), batch.problem)
    elif batch.unreadable_at:
        text = f"The chain could not be read in the slot, {where} {block}"
        _miss(batch, Missed.CHAIN_UNREADABLE, text)
    else:
        text = f"No worker was free in the slot, {where} {block}. Does `validator worker` run?"
        _miss(batch, Missed.WORKER_DOWN, text)


def _miss(batch: Batch, because: Batch.Missed, problem: str) -> None:
    missed = _planned(batch).update(
        state=State.MISSED, missed_because=because, problem=problem, ended_at=timezone.now()
    )
    if missed:
        extra = {"cycle": batch.cycle_start, "reason": str(because), "problem": problem}
        log.warning("batch missed", extra=extra)


def _close_earlier(cycle: Cycle) -> None:
    """End the planned batches of earlier cycles, and store the cycles that have no row."""
    for batch in Batch.objects.filter(state=State.PLANNED, cycle_start__lt=cycle.start):
        if batch.slot_block is None:
            because = Missed(batch.missed_because or Missed.CHAIN_UNREADABLE)
            _miss(batch, because, batch.problem or "The chain could not be read to plan the batch")
        else:
            _miss_slot(batch, cycle.start)
    newest = Batch.objects.filter(cycle_start__lt=cycle.start).order_by("-cycle_start").first()
    if newest is None:
        return
    gap = list(_cycles_between(newest, cycle))
    Batch.objects.bulk_create(gap, ignore_conflicts=True)
    if gap:
        log.warning("cycles without a batch", extra={"count": len(gap)})


def _cycles_between(newest: Batch, cycle: Cycle) -> Iterator[Batch]:
    """Rows for the cycles after the newest row and before this one, as missed."""
    length = cycle.stop - cycle.start
    now = timezone.now()
    if newest.unreadable_at:
        because, problem = Missed.CHAIN_UNREADABLE, "The chain could not be read in this cycle"
    else:
        because, problem = Missed.WORKER_DOWN, "No worker ran in this cycle"
    for back in range(1, MAX_GAP_CYCLES + 1):
        start = cycle.start - back * length
        if newest.cycle_start is None or start <= newest.cycle_start:
            return
        yield Batch(
            cycle_start=start,
            block=start,
            state=State.MISSED,
            missed_because=because,
            problem=problem,
            alive_at=now,
            ended_at=now,
        )
