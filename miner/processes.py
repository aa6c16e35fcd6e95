"""The processes and commands of `python -m miner`, and what each needs to start."""

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.django.needs import ListenAddress, Need, asked, chain, database, hotkey
from compute_horde.django.service import Process, Service
from miner.config import config

PREFIX = "MINER_"
SETTINGS = "miner.settings"
HEADLESS = "miner.settings_headless"
listener = ListenAddress(config.host, config.port, PREFIX)
admin_listener = ListenAddress(config.admin_host, config.admin_port, f"{PREFIX}ADMIN_")


async def _check_executor_manager() -> None:
    from miner.executors.manager import load
    from miner.wiring import manager_settings

    settings = manager_settings(config, load_hotkey(config.hotkey_file))
    await load(config.executor_manager)(settings, lambda _token, _how: None).check()


def _web() -> None:
    from miner.server import serve

    serve(config, listener, admin_listener)


def _keep() -> None:
    from miner.periodic import run

    run(config)


def _seed(rest: list[str]) -> None:
    del rest
    from miner.seed import seed

    seed(config)


def _evict(rest: list[str]) -> None:
    from compute_horde.django.eviction import run_command
    from miner.periodic import evict

    run_command("miner", rest, evict, config.retention_days)


def _chain() -> tuple[Need, ...]:
    """The need for the chain, or nothing for a miner that does not use it."""
    if not config.chain_url:
        return ()
    registered = config.serving and not config.trusted
    where = config.chain_url, config.netuid
    return (chain(*where, config.hotkey_file, PREFIX, registered=registered),)


SHARED = (hotkey(config.hotkey_file), database(PREFIX))

SERVICE = Service(
    "miner",
    config,
    config.port,
    (
        Process(
            "web",
            _web,
            (listener.need, admin_listener.need, asked("engine", _check_executor_manager), *SHARED),
            SETTINGS,
        ),
        Process("keep", _keep, (*SHARED, *_chain()), HEADLESS),
    ),
    {"seed": _seed, "evict": _evict},
)
