"""Setting weights: once per cycle, tried again until the chain took them."""

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
from validator.network.actions import last_look
from validator.scoring.rules import Earned, miner_weights
from validator.synthetic.models import Batch, Puzzle
from validator.weights import rules
from validator.weights.models import WeightsSet

log = logging.getLogger(__name__)


def publish(open_chain: Callable[[], AbstractContextManager[Chain]], config: Config) -> None:
    """Set this cycle's weights, if its window is open and they are not set."""
    seen = last_look(config.look_lasts)
    if seen is None:
        return
    cycle = cycle_at(seen.block, netuid=config.netuid, tempo=seen.tempo)
    _close_missed(cycle)
    paid = rules.paid_cycle(cycle, netuid=config.netuid, tempo=seen.tempo)
    if seen.block not in rules.window(cycle) or _is_still_worked(paid):
        return
    row = claim(cycle, paid, seen.block)
    if row is None:
        return
    try:
        with open_chain() as chain:
            _attempt(chain, config, row, cycle)
    except ChainError as exc:
        _failed(row, exc, next_try_block=seen.block + 1)


def claim(cycle: Cycle, paid: Cycle, block: int) -> WeightsSet | None:
    """This cycle's row, ours to try; the conditional update lets one worker through.

    One that never tells how it ended holds the claim for a part of the window.
    """
    WeightsSet.objects.get_or_create(cycle_start=cycle.start, defaults={"earned_in": paid.start})
    trying = WeightsSet.objects.filter(
        cycle_start=cycle.start, state=WeightsSet.State.TRYING, next_try_block__lte=block
    )
    until = block + rules.patience(cycle)
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
    if row.attempts > 1 and _came_true(metagraph, config.hotkey.ss58_address, cycle):
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
        # It may still come true: the claim stays until that is over.
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


def _came_true(metagraph: Metagraph, validator: str, cycle: Cycle) -> bool:
    """Whether the chain says that we set weights since this cycle's window opened."""
    opened = rules.window(cycle).start
    return any(
        neuron.hotkey == validator and neuron.last_update >= opened for neuron in metagraph.neurons
    )


def _is_still_worked(paid: Cycle) -> bool:
    return Batch.objects.filter(cycle_start=paid.start, state=Batch.State.RUNNING).exists()


def _close_missed(cycle: Cycle) -> None:
    """Windows that closed while the chain refused are over."""
    WeightsSet.objects.filter(state=WeightsSet.State.TRYING, cycle_start__lt=cycle.start).update(
        state=WeightsSet.State.FAILED
    )
