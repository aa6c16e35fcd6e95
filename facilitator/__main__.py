"""`python -m facilitator`: see `facilitator.processes`."""

import sys

from compute_horde.startup import reported


def main(arguments: list[str]) -> None:
    """Run the command line; a startup problem ends the process with one line."""
    with reported("facilitator"):
        # Validates the settings before the slow imports.
        import facilitator.config  # noqa: F401
        from facilitator.processes import SERVICE

        SERVICE.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
