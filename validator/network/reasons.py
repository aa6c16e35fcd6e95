"""Explains in the admin why a neuron gets jobs or not, what it was, and its last results."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from validator.network import history
from validator.network.models import Fact, Manifest, ManifestSource, ManifestStatus, Neuron
from validator.network.network_state import Change
from validator.synthetic.models import Batch, Puzzle
from validator.weights.models import WeightsSet

SHOWN_CHANGES = 50


def why_jobs(neuron: Neuron, validator: str) -> str:
    """Whether this neuron gets jobs; if not, the first reason why."""
    if neuron.hotkey == validator:
        return "no: this is our own hotkey"
    if not neuron.registered:
        return f"no: it is no longer registered (seen last at {_minute(neuron.seen_at)})"
    if not neuron.serves:
        return "no: it announces no address on the chain"
    offers = dict(
        Manifest.objects.filter(hotkey=neuron.hotkey).values_list("executor_class", "count")
    )
    if not offers:
        return f"no: it never answered at {neuron.ip}:{neuron.port} what executors it has"
    if not any(offers.values()):
        return "no: it offers 0 executors"
    return f"yes: it offers {_counts(offers)}"


def effective_manifest(hotkey: str) -> Iterator[str]:
    """Lines that say which manifest counts for scoring, which is pending, and where from."""
    status = ManifestStatus.objects.filter(pk=hotkey).first()
    if status is None or status.effective is None or status.effective_since is None:
        yield "none: it never reported what executors it has"
        return
    yield f"{_counts(status.effective)}, since {_minute(status.effective_since)}"
    if status.pending is not None and status.reported_at and status.counts_from:
        yield (
            f"pending: {_counts(status.pending)}, reported at {_minute(status.reported_at)},"
            f" counts from {_minute(status.counts_from)}"
        )
    if Manifest.objects.filter(hotkey=hotkey, source=ManifestSource.CHAIN).exists():
        yield "the newest report is its commitment on the chain, since it does not answer"
    last = _minute(status.answered_at) if status.answered_at else "never"
    yield f"the miner itself answered last: {last}"


def recent_changes(hotkey: str) -> Iterator[str]:
    """A line for each of its newest changes but those of its stake, newest first."""
    kinds = [kind for kind in Fact.Kind.values if kind != Fact.Kind.STAKE]
    for change in history.latest_changes(hotkey, SHOWN_CHANGES, kinds=kinds):
        at = f" ({_minute(change.at)})" if change.at else ""
        yield f"block {change.block}{at}: {_change(change)}"


def _change(change: Change) -> str:
    name = f"{change.kind} {change.item}".rstrip()
    if change.before is None:
        return f"{name}: {_value(change.after)}"
    if change.after is None:
        return f"{name}: none any more, was {_value(change.before)}"
    return f"{name}: {_value(change.after)}, was {_value(change.before)}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)


def _counts(counts: Mapping[str, int]) -> str:
    shown = (f"{count} of {kind}" for kind, count in sorted(counts.items()) if count)
    return ", ".join(shown) or "no executors"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


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
