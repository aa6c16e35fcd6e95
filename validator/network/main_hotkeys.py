"""The main hotkey of each coldkey: its miners are asked once per cycle, then it is only read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.utils import timezone

from compute_horde.cycles import Cycle, cycle_at
from validator.network.models import NamedMainHotkey, Neuron

# Miners are asked from this part of the cycle on, when they have learned that it began.
ASKED_AFTER = 0.25


@dataclass(frozen=True, slots=True)
class MainHotkeyQuestion:
    """Whom to ask for the main hotkey of `cycle`: hotkeys by uid, each with its coldkey."""

    cycle: Cycle
    coldkeys: Mapping[str, str]


def open_question(
    block: int, miners: Collection[str], *, netuid: int, tempo: int
) -> MainHotkeyQuestion | None:
    """Whom of these miners to ask at `block`: all of coldkeys without an answer in this cycle.

    None while the cycle is too young, and when everybody has answered.
    """
    cycle = cycle_at(block, netuid=netuid, tempo=tempo)
    if block < cycle.start + ASKED_AFTER * (cycle.stop - cycle.start):
        return None
    answered = NamedMainHotkey.objects.filter(cycle_start=cycle.start).values("coldkey")
    asked = Neuron.objects.filter(registered=True, hotkey__in=miners).exclude(coldkey__in=answered)
    coldkeys = dict(asked.order_by("uid").values_list("hotkey", "coldkey"))
    return MainHotkeyQuestion(cycle, coldkeys) if coldkeys else None


def store_answers(question: MainHotkeyQuestion, answers: Mapping[str, str | None]) -> None:
    """Store the main hotkeys that miners named, by the hotkey that answered.

    Only a registered hotkey of the same coldkey can be its main hotkey. Of several answers for a
    coldkey that of the lowest uid counts, so that all validators take the same.
    """
    registered = Neuron.objects.filter(registered=True, hotkey__in=set(answers.values()) - {None})
    owners = dict(registered.values_list("hotkey", "coldkey"))
    rows: dict[str, NamedMainHotkey] = {}
    for miner, coldkey in question.coldkeys.items():
        named = answers.get(miner)
        if named is None or owners.get(named) != coldkey:
            continue
        rows.setdefault(
            coldkey,
            NamedMainHotkey(
                coldkey=coldkey,
                cycle_start=question.cycle.start,
                hotkey=named,
                named_by=miner,
                named_at=timezone.now(),
            ),
        )
    NamedMainHotkey.objects.bulk_create(rows.values(), ignore_conflicts=True)


def main_hotkeys(since: int, until: int) -> dict[str, str]:
    """The main hotkeys of cycles that began in blocks from `since` to `until`, by coldkey.

    Of several that of the latest cycle.
    """
    rows = NamedMainHotkey.objects.filter(cycle_start__gte=since, cycle_start__lt=until)
    return dict(rows.order_by("cycle_start").values_list("coldkey", "hotkey"))
