"""The main hotkey: decided at the start of each cycle by `keep`, read by `web`, and ordered."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from compute_horde.cycles import Cycle
from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from miner.following import follow
from miner.hotkeys.models import CycleMainHotkey, MainHotkeyOrder
from miner.hotkeys.rules import MainHotkeySchedule

log = logging.getLogger(__name__)

CHANNEL = "miner_main_hotkey"
COMMAND = "command"


def begin_cycle(cycle: Cycle, schedule: MainHotkeySchedule) -> CycleMainHotkey:
    """Decide the main hotkey of a cycle, unless that was done before; returns its row."""
    with transaction.atomic():
        row, is_new = CycleMainHotkey.objects.get_or_create(
            cycle_start=cycle.start,
            defaults={
                "cycle_stop": cycle.stop,
                "number": cycle.number,
                **_decision(cycle.start, cycle.number, schedule),
            },
        )
        if is_new:
            notify(CHANNEL)
            log.info("main hotkey", extra={"cycle": row.cycle_start, "hotkey": row.hotkey})
    return row


def order(
    hotkey: str, schedule: MainHotkeySchedule, *, by: str, at_once: bool = False
) -> MainHotkeyOrder:
    """Make `hotkey` the main one from the next cycle on; empty: follow the schedule again.

    With `at_once` from the present cycle on, though validators may have asked in it already. While
    no cycle is known, the order holds at once.
    """
    with transaction.atomic():
        present = CycleMainHotkey.objects.select_for_update().first()
        start = 0
        if present:
            start = present.cycle_start if at_once else present.cycle_stop
        given = MainHotkeyOrder.objects.create(hotkey=hotkey, from_block=start, ordered_by=by)
        if present and at_once:
            for name, value in _decision(start, present.number, schedule).items():
                setattr(present, name, value)
            present.save()
        notify(CHANNEL)
    return given


def main_hotkey(schedule: MainHotkeySchedule) -> str:
    """The present main hotkey: that of the newest cycle, or what holds while none is known."""
    if present := CycleMainHotkey.objects.first():
        return present.hotkey
    return str(_decision(0, 0, schedule)["hotkey"])


def next_main_hotkey(present: CycleMainHotkey, schedule: MainHotkeySchedule) -> str:
    """The main hotkey of the cycle after the present one, unless it is ordered otherwise."""
    return str(_decision(present.cycle_stop, present.number + 1, schedule)["hotkey"])


def _decision(start: int, number: int, schedule: MainHotkeySchedule) -> dict[str, str]:
    given = MainHotkeyOrder.objects.filter(from_block__lte=start).first()
    if given and given.hotkey:
        return {"hotkey": given.hotkey, "source": CycleMainHotkey.Source.ORDER}
    return {"hotkey": schedule.at(number), "source": CycleMainHotkey.Source.SCHEDULE}


def evict(before: datetime) -> int | None:
    """Delete all cycles that began before a time but the newest; the first block of the oldest."""
    newest = CycleMainHotkey.objects.first()
    if newest is None:
        return None
    CycleMainHotkey.objects.filter(began_at__lt=before).exclude(pk=newest.pk).delete()
    oldest = CycleMainHotkey.objects.last()
    return oldest.cycle_start if oldest else newest.cycle_start


class PresentMainHotkey:
    """The present main hotkey in memory; `follow` reads it after every change."""

    def __init__(self, schedule: MainHotkeySchedule) -> None:
        self.schedule = schedule
        self.hotkey = schedule.at(0)

    async def read(self) -> None:
        """Read it from the database."""
        self.hotkey = await in_database(main_hotkey, self.schedule)

    async def follow(self, on_change: Callable[[], None]) -> None:
        """Read it after every change and call `on_change`; never returns."""

        async def read() -> None:
            before = self.hotkey
            await self.read()
            if self.hotkey != before:
                on_change()

        await follow(CHANNEL, read)
