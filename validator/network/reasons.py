"""Explains in the admin why a neuron gets jobs or not, and its last results and weights."""

from collections.abc import Iterator

from validator.network.models import Manifest, Neuron
from validator.synthetic.models import Batch, Puzzle
from validator.weights.models import WeightsSet


def why_jobs(neuron: Neuron, validator: str) -> str:
    """Whether this neuron gets jobs; if not, the first reason why."""
    if neuron.hotkey == validator:
        return "no: this is our own hotkey"
    if not neuron.registered:
        return f"no: it is no longer registered (seen last at {neuron.seen_at:%Y-%m-%d %H:%M} UTC)"
    if not neuron.serves:
        return "no: it announces no address on the chain"
    offers = dict(
        Manifest.objects.filter(hotkey=neuron.hotkey).values_list("executor_class", "count")
    )
    if not offers:
        return f"no: it never answered at {neuron.ip}:{neuron.port} what executors it has"
    if not any(offers.values()):
        return "no: it offers 0 executors"
    offered = ", ".join(f"{count} of {kind}" for kind, count in sorted(offers.items()) if count)
    return f"yes: it offers {offered}"


def last_batch(hotkey: str) -> Iterator[str]:
    """One line with the verdict for each puzzle of the newest complete batch that counts."""
    batch = Batch.objects.filter(state=Batch.State.DONE, cycle_start__isnull=False).first()
    if batch is None:
        yield "no batch was completed yet"
        return
    puzzles = Puzzle.objects.filter(batch=batch, hotkey=hotkey)
    if not puzzles:
        yield f"cycle {batch.cycle_start}: no puzzle was given, since it offered no executor then"
    for puzzle in puzzles:
        result = f"{puzzle.executor_class}: {puzzle.points} points: {puzzle.verdict or 'open'}"
        yield f"cycle {batch.cycle_start}: {result}"


def last_weight(hotkey: str) -> str:
    """The neuron's share of the weights that were published last."""
    newest = WeightsSet.objects.filter(state=WeightsSet.State.PUBLISHED).first()
    if newest is None:
        return "no weights were published yet"
    share = newest.weights.get(hotkey)
    earned = f"for what was earned in cycle {newest.earned_in}"
    return f"{share} {earned}" if share else f"none {earned}: it earned no points"
