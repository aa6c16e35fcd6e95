"""`python -m miner web|keep|migrate|seed|manage …`."""

import argparse
import sys

import django
from django.core.management import execute_from_command_line

from compute_horde.errors import ConfigurationError
from miner.config import config, name_settings


def main() -> None:
    """Run one of the miner's processes."""
    parser = argparse.ArgumentParser(prog="python -m miner", description=__doc__)
    parser.add_argument("process", choices=["web", "keep", "migrate", "seed", "manage"])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="what Django's manage is told")
    asked = parser.parse_args()
    name_settings()
    try:
        _run(asked.process, asked.rest)
    except ConfigurationError as exc:
        sys.exit(f"miner: {exc}")


def _run(process: str, rest: list[str]) -> None:
    match process:
        case "migrate":
            execute_from_command_line(["miner", "migrate", *rest])
        case "manage":
            execute_from_command_line(["miner", *rest])
        case "web":
            from miner.web import serve

            serve(config)
        case "keep":
            django.setup(set_prefix=False)
            from miner.keep import run

            run(config)
        case _:
            django.setup(set_prefix=False)
            from miner.seed import seed

            seed(config)


if __name__ == "__main__":
    main()
