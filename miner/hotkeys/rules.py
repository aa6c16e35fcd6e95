"""Rules: which hotkey is the main one of a cycle, and how executors are divided among hotkeys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from compute_horde.hardware import ExecutorClass


class Division(StrEnum):
    """How the executors of a miner with several hotkeys are divided among them."""

    EVENLY = "evenly"
    MAIN = "main"


@dataclass(frozen=True, slots=True)
class MainHotkeySchedule:
    """The main hotkeys in their order; each is the main one for `cycles_each` cycles."""

    hotkeys: tuple[str, ...]
    cycles_each: int = 1

    def at(self, cycle_number: int) -> str:
        """The main hotkey of a cycle."""
        return self.hotkeys[cycle_number // self.cycles_each % len(self.hotkeys)]


def part(
    counts: Mapping[ExecutorClass, int],
    hotkey: str,
    *,
    hotkeys: Sequence[str],
    main: str,
    division: Division,
) -> dict[ExecutorClass, int]:
    """What `hotkey` offers of all executors; the parts of all `hotkeys` never exceed `counts`.

    Evenly: the first hotkeys get one more where the number is not divisible. To the main hotkey
    only: nothing is offered while it is not among `hotkeys`.
    """
    if division is Division.MAIN:
        return dict(counts) if hotkey == main else {}
    place, ways = hotkeys.index(hotkey), len(hotkeys)
    return {kind: count // ways + (place < count % ways) for kind, count in counts.items()}
