"""The processes and commands of `python -m miner`, and what each needs to start."""

from pathlib import Path

from compute_horde.adapters.wallet import load_hotkey
from compute_horde.django.needs import ListenAddress, Need, asked, chain, database, hotkey
from compute_horde.django.service import Process, Service
from miner.config import config

PREFIX = "MINER_"
SETTINGS = "miner.settings"
HEADLESS = "miner.settings_headless"
listener = ListenAddress(config.host, config.port, PREFIX)
other_listeners = [
    ListenAddress(config.host, port, f"{PREFIX}OTHER_HOTKEYS: ")
    for port in config.other_hotkeys.values()
]
admin_listener = ListenAddress(config.admin_host, config.admin_port, f"{PREFIX}ADMIN_")


async def _check_executor_manager() -> None:
    from miner.executors.manager import load
    from miner.wiring import manager_settings

    settings = manager_settings(config, load_hotkey(config.hotkey_file))
    await load(config.executor_manager)(settings, lambda _token, _how: None).check()


def _web() -> None:
    from miner.server import serve

    serve(config, [listener, *other_listeners], admin_listener)


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


def _main_hotkey(rest: list[str]) -> None:
    from miner.hotkeys.commands import main_hotkey

    main_hotkey(config, rest)


def _earnings(rest: list[str]) -> None:
    from miner.earnings.commands import earnings

    earnings(rest)


def _hotkey_files() -> tuple[Path, ...]:
    return (config.hotkey_file, *config.other_hotkeys)


def _chain() -> tuple[Need, ...]:
    """The need for the chain with each hotkey; nothing for a miner that does not use it."""
    if not config.chain_url:
        return ()
    registered = config.serving and not config.trusted
    where = config.chain_url, config.netuid
    return tuple(chain(*where, file, PREFIX, registered=registered) for file in _hotkey_files())


SHARED = (*map(hotkey, _hotkey_files()), database(PREFIX))

SERVICE = Service(
    "miner",
    config,
    config.port,
    (
        Process(
            "web",
            _web,
            (
                *(one.need for one in (listener, *other_listeners, admin_listener)),
                asked("engine", _check_executor_manager),
                *SHARED,
            ),
            SETTINGS,
        ),
        Process("keep", _keep, (*SHARED, *_chain()), HEADLESS),
    ),
    {"seed": _seed, "evict": _evict, "main-hotkey": _main_hotkey, "earnings": _earnings},
)
