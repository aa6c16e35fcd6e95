"""`python -m executor` lives for one job; `… nursery` forks executors; `… sweep` tidies up."""

import sys

from pydantic import ValidationError

from compute_horde.errors import ConfigurationError
from executor import nursery, process, sweep
from executor.config import Config
from executor.logs import set_up

WRONG_USE = 2


def main(arguments: list[str]) -> int:
    """The exit code of the process."""
    try:
        return _run(arguments)
    except (ConfigurationError, ValidationError) as exc:
        sys.stderr.write(f"{exc}\n")
        return WRONG_USE


def _run(arguments: list[str]) -> int:
    config = Config()
    set_up(debug=config.debug)
    match arguments:
        case ["nursery"]:
            return nursery.run(config)
        case ["sweep"]:
            return sweep.directories(config)
        case [] if config.token:
            return process.run(config, config.token)
        case []:
            raise ConfigurationError("EXECUTOR_TOKEN is not set")
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return WRONG_USE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
