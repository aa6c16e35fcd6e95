"""Finds the windows that passed without a try to set weights."""

from collections.abc import Iterator

from compute_horde.cycles import Cycle
from validator.weights.models import WeightsSet

# Of a longer time without this validator, so many of the last windows are recorded.
MOST_CYCLES = 24
UNTRIED = (
    "no try: the chain could not be read while the window was open, the worker did not run, or "
    "the batch that is paid had not ended"
)


def untried(cycle: Cycle) -> Iterator[Cycle]:
    """The cycles before `cycle`, back to the last one with a row, that have none; newest first.

    While the chain cannot be read, nobody knows that a window is open, so that it leaves no row.
    There are none before the first row, nor after a change of the tempo, when cycles begin
    elsewhere.
    """
    length = cycle.stop - cycle.start
    earlier = WeightsSet.objects.filter(cycle_start__lt=cycle.start)
    newest = earlier.values_list("cycle_start", flat=True).first()
    if newest is None or (cycle.start - newest) % length:
        return
    for back in range(1, MOST_CYCLES + 1):
        start = cycle.start - back * length
        if start <= newest:
            return
        yield Cycle(start, start + length, cycle.number - back)
