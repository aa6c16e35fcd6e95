"""The command `earnings` of `python -m miner`."""

import argparse
import json
import sys

from compute_horde.errors import ConfigurationError
from miner.earnings.report import report
from miner.hotkeys.models import CycleMainHotkey

SHOWN_CYCLES = 5


def earnings(arguments: list[str]) -> None:
    """Print what this miner earned and lost in a cycle.

    Raises:
        ConfigurationError: the cycle is not known.
    """
    parser = argparse.ArgumentParser(
        prog="python -m miner earnings",
        description="What this miner earned in a cycle, from whom and why, and what it lost.",
    )
    parser.add_argument("--cycle", type=int, metavar="BLOCK", help="its first block; default: last")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    given = parser.parse_args(arguments)
    one = report(_cycle(given.cycle))
    text = json.dumps(one.as_json(), indent=1) if given.json else one.as_text()
    sys.stdout.write(text + "\n")


def _cycle(start: int | None) -> CycleMainHotkey | None:
    cycles = CycleMainHotkey.objects.all()
    if start is None:
        return cycles.first()
    found = cycles.filter(cycle_start=start).first()
    if found is None:
        newest = ", ".join(str(one.cycle_start) for one in cycles[:SHOWN_CYCLES]) or "none"
        raise ConfigurationError(
            f"no known cycle begins in block {start}; the newest are {newest}; cycles are kept for "
            "MINER_RETENTION_DAYS"
        )
    return found
