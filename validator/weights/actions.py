"""Sets weights on the chain once per cycle, and retries until the chain accepts them."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal

from django.db.models import F, Sum
from django.utils import timezone

from compute_horde.adapters.chain_port import Chain, ChainUnreachable, Metagraph
from compute_horde.cycles import Cycle, cycle_at
from compute_horde.errors import ChainError
from compute_horde.hardware import ExecutorClass
from validator.config import Config
from validator.network.actions import latest_snapshot
from validator.scoring.rules import Earned, miner_weights
from validator.synthetic.models import Batch, Puzzle
from validator.weights import rules
from validator.weights.models import WeightsSet

log = logging.getLogger(__name__)


def set_weights_if_due(
    open_chain: Callable[[], AbstractContextManager[Chain]], config: Config
) -> None:
    """Set this cycle's weights, if its window is open and they are not set yet."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        return
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    _close_missed(cycle)
    paid = rules.paid_cycle(cycle, netuid=config.netuid, tempo=snapshot.tempo)
    if snapshot.block not in rules.window(cycle) or _is_batch_running(paid):
        return
    row = claim(cycle, paid, snapshot.block)
    if row is None:
        return
    try:
        with open_chain() as chain:
            _attempt(chain, config, row, cycle)
    except ChainError as exc:
        _failed(row, exc, next_try_block=snapshot.block + 1)


def claim(cycle: Cycle, paid: Cycle, block: int) -> WeightsSet | None:
    """Claim an attempt at this cycle's weights; None when there is nothing to try now.

    The conditional update lets one worker through. If that worker dies, its claim expires after
    `rules.claim_blocks` blocks.
    """
    WeightsSet.objects.get_or_create(cycle_start=cycle.start, defaults={"earned_in": paid.start})
    trying = WeightsSet.objects.filter(
        cycle_start=cycle.start, state=WeightsSet.State.TRYING, next_try_block__lte=block
    )
    until = block + rules.claim_blocks(cycle)
    if not trying.update(next_try_block=until, attempts=F("attempts") + 1):
        return None
    return WeightsSet.objects.get(cycle_start=cycle.start)


def earned(cycle_start: int) -> list[Earned]:
    """The points of a cycle's batch, by miner and class."""
    puzzles = Puzzle.objects.filter(
        batch__cycle_start=cycle_start, batch__state=Batch.State.DONE, points__gt=0
    )
    totals = puzzles.values_list("hotkey", "executor_class").annotate(total=Sum("points"))
    return [Earned(hotkey, ExecutorClass(kind), total) for hotkey, kind, total in totals]


def _attempt(chain: Chain, config: Config, row: WeightsSet, cycle: Cycle) -> None:
    metagraph = chain.metagraph()
    if row.attempts > 1 and _was_set(metagraph, config.hotkey.ss58_address, cycle):
        _end(row, WeightsSet.State.PUBLISHED, "an earlier attempt was found on the chain")
        return
    shares = miner_weights(earned(row.earned_in), config.class_weights)
    by_uid = {
        neuron.uid: shares[n] for neuron in metagraph.neurons if (n := neuron.hotkey) in shares
    }
    row.weights = {hotkey: str(share) for hotkey, share in shares.items()}
    if not by_uid:
        _end(row, WeightsSet.State.EMPTY, "nobody who is registered earned anything")
        return
    _set(chain, row, by_uid)


def _set(chain: Chain, row: WeightsSet, by_uid: dict[int, Decimal]) -> None:
    try:
        accepted = chain.set_weights(by_uid)
    except ChainUnreachable as exc:
        # The transaction may still be included, so the claim stays until it expires.
        _failed(row, exc, next_try_block=row.next_try_block)
        return
    row.block = accepted.block
    sealed = f", sealed until round {accepted.reveal_round}" if accepted.reveal_round else ""
    _end(row, WeightsSet.State.PUBLISHED, f"accepted in block {accepted.block}{sealed}")


def _failed(row: WeightsSet, problem: ChainError, *, next_try_block: int) -> None:
    row.outcome = f"{type(problem).__name__}: {problem}"[:1000]
    row.next_try_block = next_try_block
    row.save(update_fields=["weights", "outcome", "next_try_block"])
    log.warning("weights not set", extra={"cycle": row.cycle_start, "problem": row.outcome})


def _end(row: WeightsSet, state: WeightsSet.State, outcome: str) -> None:
    row.state, row.outcome = state, outcome
    row.published_at = timezone.now() if state == WeightsSet.State.PUBLISHED else None
    row.save(update_fields=["weights", "state", "outcome", "block", "published_at"])
    log.info("weights of the cycle", extra={"cycle": row.cycle_start, "outcome": outcome})


def _was_set(metagraph: Metagraph, validator: str, cycle: Cycle) -> bool:
    """Whether this validator set weights on the chain since this cycle's window opened."""
    opened = rules.window(cycle).start
    return any(
        neuron.hotkey == validator and neuron.last_update >= opened for neuron in metagraph.neurons
    )


def _is_batch_running(paid: Cycle) -> bool:
    return Batch.objects.filter(cycle_start=paid.start, state=Batch.State.RUNNING).exists()


def _close_missed(cycle: Cycle) -> None:
    """Mark earlier cycles as failed whose window closed before the chain accepted weights."""
    WeightsSet.objects.filter(state=WeightsSet.State.TRYING, cycle_start__lt=cycle.start).update(
        state=WeightsSet.State.FAILED
    )
