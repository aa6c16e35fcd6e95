"""`python -m facilitator [web|migrate|seed|manage …]`."""

import os
import sys

import django
import uvicorn
from django.core.management import call_command, execute_from_command_line

from compute_horde.django.wary import WaryProtocol
from compute_horde.protocol.message import REPORT_FRAME_BYTES
from facilitator.config import config

STOP_SECONDS = 3
USAGE = "usage: python -m facilitator [web | migrate | seed | manage COMMAND …]"


class Server(uvicorn.Server):
    """Ends the streams of waiting users first, so that nobody keeps it from stopping."""

    async def shutdown(self, sockets: list[object] | None = None) -> None:
        from facilitator.logs import board
        from facilitator.news import desk

        desk.stop()
        board.stop()
        await super().shutdown(sockets)  # type: ignore[arg-type]


def web() -> None:
    """Serve until told to stop."""
    from facilitator.asgi import application

    settings = uvicorn.Config(
        application,
        host=config.host,
        port=config.port,
        loop="uvloop",
        ws=WaryProtocol,
        ws_max_size=REPORT_FRAME_BYTES,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    Server(settings).run()


def main(words: list[str]) -> None:
    """Do what the first word says."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facilitator.settings")  # noqa: TID251
    django.setup()
    match words or ["web"]:
        case ["web"]:
            web()
        case ["migrate"]:
            call_command("migrate", interactive=False, verbosity=1)
        case ["seed"]:
            from facilitator.seed import seed

            seed()
        case ["manage", *command]:
            execute_from_command_line(["facilitator", *command])
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
