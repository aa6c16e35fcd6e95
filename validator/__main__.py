"""`python -m validator`: see `validator.processes`."""

import sys

from compute_horde.startup import reported


def main(arguments: list[str]) -> None:
    """Run the command line; a startup problem ends the process with one line."""
    with reported("validator"):
        # Two work without settings, so that everyone can check a validator's numbers.
        match arguments[:1]:
            case ["formula"]:
                from validator.scoring.cases import command

                sys.exit(command.main(arguments[1:]))
            case ["replay"]:
                from validator.scores import replay

                sys.exit(replay.main(arguments[1:]))
        # Validates the settings before the slow imports.
        import validator.config  # noqa: F401
        from validator.processes import SERVICE

        SERVICE.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
