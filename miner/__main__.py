"""The command line `python -m miner`; `miner.processes` lists what it may run."""

import sys

from compute_horde.startup import reported


def main(arguments: list[str]) -> None:
    """Run a process or a command; a configuration error ends it with one line of text."""
    with reported("miner"):
        # Reads the settings first, so that a wrong one is reported at once.
        import miner.config  # noqa: F401
        from miner.processes import SERVICE

        SERVICE.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
