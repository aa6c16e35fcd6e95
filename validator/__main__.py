"""`python -m validator web|listen|migrate|seed|manage …`."""

import os
import sys

import django


def main(arguments: list[str]) -> int:
    """Run one of the validator's processes or chores."""
    settings = "validator.headless" if arguments == ["listen"] else "validator.settings"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)  # noqa: TID251
    django.setup()
    match arguments:
        case ["web"]:
            from validator import web

            web.main()
        case ["listen"]:
            from validator import listen

            listen.main()
        case ["migrate", *rest]:
            _manage("migrate", *rest)
        case ["seed"]:
            from validator import seed

            seed.main()
        case ["manage", *rest]:
            _manage(*rest)
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


def _manage(*arguments: str) -> None:
    from django.core.management import execute_from_command_line

    execute_from_command_line(["python -m validator", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
