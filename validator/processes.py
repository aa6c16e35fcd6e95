"""The processes and commands of `python -m validator`, and what each needs to start."""

from compute_horde.django.needs import ListenAddress, broker, chain, database, hotkey
from compute_horde.django.service import Process, Service
from validator.config import config

PREFIX = "VALIDATOR_"
SETTINGS = "validator.settings"
HEADLESS = "validator.settings_headless"
listener = ListenAddress(config.host, config.port, PREFIX)


def _web() -> None:
    from validator.server import serve

    serve(listener)


def _listen() -> None:
    from validator.listener import main

    main()


def _worker() -> None:
    from validator.scheduled import work

    work()


def _beat() -> None:
    from validator.scheduled import beat

    beat()


def _receipts() -> None:
    from validator.receipts.process import main

    main()


def _seed(rest: list[str]) -> None:
    del rest
    from validator.seed import seed

    seed()


def _evict(rest: list[str]) -> None:
    from compute_horde.django.eviction import run_command
    from validator.eviction import evict

    run_command("validator", rest, evict, config.keep_days)


def _explain(rest: list[str]) -> None:
    from validator.scores.commands import explain

    explain(rest)


def _export(rest: list[str]) -> None:
    from validator.scores.commands import export

    export(rest)


KEY = hotkey(config.hotkey_file)
STORE = database(PREFIX)
QUEUE = broker(config.redis_url.get_secret_value(), f"{PREFIX}REDIS_URL")
CHAIN = chain(config.chain_url, config.netuid, config.hotkey_file, PREFIX, registered=True)

SERVICE = Service(
    "validator",
    config,
    config.port,
    (
        Process("web", _web, (listener.need, STORE), SETTINGS),
        Process("listen", _listen, (KEY, STORE), HEADLESS),
        Process("worker", _worker, (KEY, STORE, QUEUE, CHAIN), HEADLESS),
        Process("beat", _beat, (STORE, QUEUE), HEADLESS, has_models=False),
        Process("receipts", _receipts, (KEY, STORE), HEADLESS),
    ),
    {"seed": _seed, "evict": _evict, "explain": _explain, "export": _export},
    ("formula", "replay"),
)
