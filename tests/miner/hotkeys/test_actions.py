"""The main hotkey is decided once per cycle, and orders change it from the next cycle on."""

import asyncio

import pytest

from compute_horde.cycles import Cycle
from compute_horde.django.database import in_database
from miner.hotkeys import actions
from miner.hotkeys.models import CycleMainHotkey, MainHotkeyOrder
from miner.hotkeys.rules import MainHotkeySchedule

FIRST, SECOND = Cycle(0, 722, 0), Cycle(722, 1444, 1)
SCHEDULE = MainHotkeySchedule(("a", "b"))


def decided(cycle: Cycle) -> tuple[str, str]:
    row = actions.begin_cycle(cycle, SCHEDULE)
    return row.hotkey, row.source


@pytest.mark.django_db
def test_a_cycle_is_decided_when_it_begins_and_not_again() -> None:
    assert decided(FIRST) == ("a", "schedule")
    other = MainHotkeySchedule(("c",))
    assert actions.begin_cycle(FIRST, other).hotkey == "a"
    assert actions.main_hotkey(other) == "a"
    assert decided(SECOND) == ("b", "schedule")
    assert actions.main_hotkey(SCHEDULE) == "b"


@pytest.mark.django_db
def test_an_order_holds_from_the_next_cycle_on_until_another_one() -> None:
    decided(FIRST)
    actions.order("c", SCHEDULE, by="me")
    assert decided(FIRST) == ("a", "schedule")
    assert actions.next_main_hotkey(CycleMainHotkey.objects.get(), SCHEDULE) == "c"
    assert decided(SECOND) == ("c", "order")
    actions.order("", SCHEDULE, by="me")
    assert decided(SECOND) == ("c", "order")
    assert decided(Cycle(1444, 2166, 2)) == ("a", "schedule")


@pytest.mark.django_db
def test_an_order_may_hold_in_the_present_cycle_too() -> None:
    decided(FIRST)
    actions.order("c", SCHEDULE, by="me", at_once=True)
    assert decided(FIRST) == ("c", "order")
    actions.order("", SCHEDULE, by="me", at_once=True)
    assert decided(FIRST) == ("a", "schedule")


@pytest.mark.django_db
def test_while_no_cycle_is_known_an_order_holds_at_once() -> None:
    assert actions.main_hotkey(SCHEDULE) == "a"
    assert actions.order("c", SCHEDULE, by="me").from_block == 0
    assert actions.main_hotkey(SCHEDULE) == "c"
    assert MainHotkeyOrder.objects.get().ordered_by == "me"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads")
async def test_the_web_process_learns_of_the_next_cycle() -> None:
    changes: asyncio.Queue[str] = asyncio.Queue()
    main = actions.PresentMainHotkey(SCHEDULE)
    await main.read()
    following = asyncio.create_task(main.follow(lambda: changes.put_nowait(main.hotkey)))
    try:
        assert main.hotkey == "a"
        async with asyncio.timeout(30):
            while changes.empty():
                await in_database(actions.order, "c", SCHEDULE, by="me")
                await asyncio.sleep(0.01)
        assert changes.get_nowait() == main.hotkey == "c"
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
