"""Sentences about a cycle's weights: when they are set, what became of them, and why."""

from compute_horde.cycles import cycle_at
from validator.config import config
from validator.network.models import Snapshot
from validator.weights import rules
from validator.weights.models import WeightsSet

State = WeightsSet.State
Landing = WeightsSet.Landing


def next_window() -> str:
    """The blocks in which weights are set next, and the present block."""
    snapshot = Snapshot.objects.first()
    if snapshot is None:
        return "The chain was not read yet: is the worker running and the node reachable?"
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    window = rules.window(cycle)
    if snapshot.block >= window.stop:
        window = rules.window(cycle_at(cycle.stop, netuid=config.netuid, tempo=snapshot.tempo))
    at = f"block {snapshot.block} was seen at {snapshot.taken_at:%H:%M:%S} UTC"
    return f"Weights are set between blocks {window.start} and {window.stop - 1}; {at}"


def why(row: WeightsSet) -> str:
    """The state of a cycle's weights in a sentence."""
    paid = f"the work from block {row.earned_in} on"
    problem = f" The last problem: {row.outcome}" if row.outcome else ""
    match row.state:
        case State.PUBLISHED:
            taken = f"The chain took them after {row.attempts} attempts, for {paid}: {row.outcome}."
            return f"{taken} {landed(row)}"
        case State.EMPTY:
            return f"Nothing was set for {paid}: {row.outcome}."
        case State.FAILED:
            return f"The window closed after {row.attempts} attempts, for {paid}.{problem}"
    return f"Being tried, again from block {row.next_try_block}, for {paid}.{problem}"


def landed(row: WeightsSet) -> str:
    """Whether the chain holds the weights, in a sentence."""
    detail = f": {row.landing_detail}" if row.landing_detail else ""
    match row.landing:
        case Landing.LANDED:
            return f"They were read back in block {row.landed_block}{detail}."
        case Landing.LOST:
            return f"They were lost{detail}."
        case Landing.UNKNOWN:
            return f"Whether they took effect is not known{detail}."
    return "They were not read back yet."


def problem(row: WeightsSet) -> str:
    """What is wrong with a cycle's weights; empty when nothing is."""
    if row.state == State.PUBLISHED:
        return landed(row) if row.landing in (Landing.LOST, Landing.UNKNOWN) else ""
    if row.state == State.EMPTY:
        return f"Nothing was set: {row.outcome}"
    if row.state == State.FAILED:
        return row.outcome or "The window closed before the chain took them"
    return row.outcome


def next_step(row: WeightsSet) -> str:
    """What to do about that problem; empty when there is none."""
    if not problem(row):
        return ""
    if row.state == State.TRYING:
        return "Nothing yet: they are tried again until the window closes"
    if row.state == State.EMPTY:
        return "Look at the outcomes of the batch: which miners answered rightly, and why not more"
    if row.state == State.FAILED:
        return "Remove the cause before the next window; this one does not come back"
    if row.landing == Landing.UNKNOWN:
        return "Nothing, if it happens once; else read the chain more often than once in a cycle"
    return "See that nothing else sets weights with this hotkey, and that the clock is right"
