"""`python -m executor` runs one job; `… prefork` forks executors; `… sweep` removes leftovers."""

import logging
import sys

from compute_horde import configuration, startup
from compute_horde.errors import ConfigurationError
from executor import cleanup, prefork, process
from executor.config import Config
from executor.logging_setup import set_up

WRONG_USE = 2

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run the command of `arguments` and return the exit code of the process."""
    with startup.reported(" ".join(["executor", *arguments[:1]]), failed=WRONG_USE):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    config = configuration.load(Config)
    set_up(debug=config.debug)
    for one in configuration.unknown(Config):
        fields = {"setting": one.name, "did_you_mean": one.nearest}
        log.warning("not a setting, ignored", extra=fields)
    match arguments:
        case ["prefork"]:
            return prefork.run(config)
        case ["sweep"]:
            return cleanup.all_with_directory(config)
        case [] if token := config.token.get_secret_value():
            return process.run(config, token)
        case []:
            raise ConfigurationError("EXECUTOR_TOKEN is not set")
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return WRONG_USE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
