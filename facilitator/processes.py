"""The processes and commands of `python -m facilitator`."""

import asyncio

from compute_horde.django.needs import ListenAddress, database
from compute_horde.django.service import Process, Service
from facilitator.config import config

PREFIX = "FACILITATOR_"
listener = ListenAddress(config.host, config.port, PREFIX)


def _web() -> None:
    from facilitator.server import serve

    serve(listener)


def _seed(rest: list[str]) -> None:
    del rest
    from facilitator.seed import seed

    seed()


def _evict(rest: list[str]) -> None:
    from compute_horde.django.eviction import run_command
    from facilitator.watchdog import evict

    run_command(
        "facilitator", rest, lambda keep: {"jobs": asyncio.run(evict(keep))}, config.keep_days
    )


SERVICE = Service(
    "facilitator",
    config,
    config.port,
    (Process("web", _web, (listener.need, database(PREFIX)), "facilitator.settings"),),
    {"seed": _seed, "evict": _evict},
)
