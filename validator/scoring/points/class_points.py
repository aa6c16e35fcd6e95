"""The points of a miner in one executor class: what the first step of every formula makes."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.facts import CycleFacts, Place
from validator.scoring.line_items import LineItem, Statement


@dataclass(frozen=True, slots=True)
class ClassPoints:
    """A miner's points in one class.

    The horde score, where a class has one, applies to `horde_points` of them, which `horde_size`
    jobs or executors earned.
    """

    hotkey: str
    executor_class: ExecutorClass
    statement: Statement
    horde_points: Fraction = Fraction(0)
    horde_size: int = 0


def places(
    facts: CycleFacts, worth: Mapping[ExecutorClass, Decimal], worked: Container[Place]
) -> Iterator[Place]:
    """Each registered miner with each class that has a worth, or in which it worked, by uid."""
    for miner in sorted(facts.miners, key=lambda one: one.uid):
        for kind in sorted(ExecutorClass):
            if worth.get(kind) or (miner.hotkey, kind) in worked:
                yield miner.hotkey, kind


def nothing(kind: ExecutorClass, *, offered: int, work: str) -> LineItem:
    """The item of a class in which a miner did no `work`."""
    if not offered:
        reason, remedy = "class not offered", f"offer executors of the class {kind}"
    else:
        reason = f"class offered, but no {work}"
        remedy = "accept jobs and stay reachable; work is given to executors that are free"
    return LineItem(reason, Fraction(offered), "executors", Fraction(0), remedy, kind)
