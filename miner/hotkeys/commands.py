"""The command `main-hotkey` of `python -m miner`."""

import argparse
import sys

from compute_horde import signing
from compute_horde.errors import ConfigurationError
from miner.config import Config
from miner.hotkeys import actions
from miner.hotkeys.models import CycleMainHotkey
from miner.hotkeys.rules import MainHotkeySchedule
from miner.hotkeys.schedule import main_hotkey_schedule
from miner.hotkeys.served import load_hotkeys

TEXT = """Show or change the main hotkey, which gets most of what all hotkeys of the coldkey earn.

Without arguments, show it and that of the next cycle. A change is meant for the next cycle:
validators ask once in each cycle, and until then the present answer has to stay the same."""


def main_hotkey(config: Config, arguments: list[str]) -> None:
    """Show the main hotkey, or order another one.

    Raises:
        ConfigurationError: what is given is no hotkey.
    """
    given = _parser().parse_args(arguments)
    hotkeys = load_hotkeys(config)
    served = [one.ss58_address for one in hotkeys]
    schedule = main_hotkey_schedule(config, hotkeys[0].signer)
    if given.hotkey or given.schedule:
        if given.hotkey and (problem := signing.address_problem(given.hotkey)):
            raise ConfigurationError(
                f"{given.hotkey!r} {problem}; give the SS58 address of a hotkey, such as "
                + " or ".join(served)
            )
        actions.order(given.hotkey or "", schedule, by=actions.COMMAND, at_once=given.now)
        if given.hotkey and given.hotkey not in served:
            sys.stdout.write("this miner does not serve that hotkey; another one of yours must\n")
    sys.stdout.write(_present(schedule))


def _present(schedule: MainHotkeySchedule) -> str:
    present = CycleMainHotkey.objects.first()
    if present is None:
        return (
            f"{actions.main_hotkey(schedule)} is the main hotkey; no cycle is known yet: "
            "`python -m miner keep` reads them from the chain at MINER_CHAIN_URL\n"
        )
    later = actions.next_main_hotkey(present, schedule)
    return (
        f"{present.hotkey} is the main hotkey in blocks {present.cycle_start} to "
        f"{present.cycle_stop - 1} ({present.get_source_display()})\n"
        f"{later} is next, from block {present.cycle_stop} on\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m miner main-hotkey",
        description=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("hotkey", nargs="?", help="the main hotkey from the next cycle on")
    which.add_argument(
        "--schedule", action="store_true", help="follow MINER_MAIN_HOTKEYS again instead"
    )
    parser.add_argument(
        "--now",
        action="store_true",
        help="in the present cycle too, although validators may have asked already",
    )
    return parser
