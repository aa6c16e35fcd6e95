"""The table of processes that make up the network, and what each is told."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localnet import docker_engine, ground, images, postgres, probes, valkey
from localnet.home import Home
from localnet.identities import Identity, identity
from localnet.keeper import Process
from localnet.leftovers import MARK

NETUID = 12
TEMPO = 60
BLOCK_SECONDS = 1
ADMIN_USER = "admin"
STREAMING_IMAGES = "computehorde/*"
Ready = probes.Probe | None

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Network:
    """What is to be started, and where."""

    home: Home
    miners: int = 1
    own_docker: bool = False

    def identity(self, name: str) -> Identity:
        return identity(self.home, name)

    def url(self, process: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.home.port(process)}"

    def database(self, service: str) -> str:
        return postgres.url(self.home, _database_name(service))

    @property
    def miner_names(self) -> tuple[str, ...]:
        return tuple("miner" if n == 1 else f"miner-{n}" for n in range(1, self.miners + 1))

    @property
    def services(self) -> tuple[str, ...]:
        return ("facilitator", "validator", *self.miner_names)


def processes(network: Network, only: Iterable[str] = ()) -> list[Process]:
    """All processes, or the named ones and what they need."""
    table = {process.name: process for process in _table(network)}
    wanted, queue = set(), list(only) or list(table)
    while queue:
        name = queue.pop()
        if name not in table:
            raise KeyError(f"no process {name!r}; there are {', '.join(table)}")
        wanted.add(name)
        queue += [needed for needed in table[name].after if needed not in wanted]
    return [process for name, process in table.items() if name in wanted]


def service_env(network: Network, service: str) -> dict[str, str]:
    """What `python -m <service>` needs to know, whatever it is asked to do."""
    others = tuple(_prefix(other) for other in _PARTICULAR if other != service.split("-")[0])
    around = {k: v for k, v in _around(network).items() if not k.startswith(others)}
    return around | _told(network, service)


def env_lines(network: Network) -> dict[str, str]:
    """What a stranger's client may want to know."""
    miner, user = network.identity("miner"), network.identity("user")
    lines = {
        "FACILITATOR_URL": network.url("facilitator"),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "VALIDATOR_HOTKEY": network.identity("validator").hotkey,
        "MINER_HOTKEY": miner.hotkey,
        "MINER_ADDRESS": "127.0.0.1",
        "MINER_PORT": str(network.home.port("miner")),
        "USER_HOTKEY_FILE": str(user.hotkey_file),
        "VALIDATOR_HOTKEY_FILE": str(network.identity("validator").hotkey_file),
        "REDIS_URL": valkey.url(network.home),
    }
    for service in ("facilitator", "validator", "miner"):
        web = "validator-web" if service == "validator" else service
        prefix = _prefix(service)
        lines[f"{prefix}DATABASE_URL"] = network.database(service)
        lines[f"{prefix}ADMIN_URL"] = f"{network.url(web)}/admin/"
        lines[f"{prefix}ADMIN_USER"] = ADMIN_USER
        lines[f"{prefix}ADMIN_PASSWORD"] = network.home.secret(f"{service}-admin")
    return lines


def _table(network: Network) -> list[Process]:
    return [
        postgres.process(network.home, tuple(map(_database_name, network.services))),
        valkey.process(network.home),
        _chain(network),
        *([_docker(network)] if network.own_docker else []),
        *_service(network, "facilitator", needs=("postgres",)),
        _facilitator(network),
        *_service(network, "validator", needs=("postgres",)),
        *_validator(network),
        *(row for name in network.miner_names for row in _miner(network, name)),
    ]


def _facilitator(network: Network) -> Process:
    return _web(network, "facilitator", "facilitator", ["-m", "facilitator"], after=())


def _validator(network: Network) -> list[Process]:
    celery = ["-m", "celery", "-A", "validator.celery"]
    pool = ["--pool", "threads", "--concurrency", "4", "--without-gossip", "--without-mingle"]
    beat = ["--schedule", str(network.home.path / "beat-schedule")]
    after = ("validator-seed", "valkey", "chain")
    heard = probes.counted(
        network.url("facilitator") + "/metrics", "facilitator_validator_connections"
    )
    # Known miners prove the whole way: announced, read from the chain by a task that beat sent.
    miners_known = probes.counted(
        network.url("validator-web") + "/metrics", "validator_serving_neurons"
    )

    def row(
        name: str, command: list[str], *more: str, ready: probes.Probe | None = None
    ) -> Process:
        return _python(network, "validator", name, command, (*after, *more), ready)

    return [
        _web(network, "validator", "validator-web", ["-m", "validator", "web"], after=("valkey",)),
        row("validator-listen", ["-m", "validator", "listen"], "facilitator", ready=heard),
        row("validator-worker", [*celery, "worker", "--loglevel", "INFO", *pool]),
        row(
            "validator-beat",
            [*celery, "beat", "--loglevel", "INFO", *beat],
            *("validator-web", "validator-worker", "miner-keep"),
            ready=miners_known,
        ),
    ]


def _miner(network: Network, name: str) -> list[Process]:
    docker = ("docker",) if network.own_docker else ()
    return [
        *_service(network, name, needs=("postgres",)),
        _web(network, name, name, ["-m", "miner", "web"], after=docker),
        _python(network, name, f"{name}-keep", ["-m", "miner", "keep"], (f"{name}-seed", "chain")),
    ]


def _chain(network: Network) -> Process:
    port, state = network.home.port("chain"), network.home.path / "chain-state"
    own = network.home.settings("chain")
    tempo, pace = own.get("TEMPO", TEMPO), own.get("BLOCK_SECONDS", BLOCK_SECONDS)
    command = [
        *("-m", "localnet.chain", "--port", str(port), "--state", str(state)),
        *("--netuid", str(NETUID), "--tempo", str(tempo), "--block-seconds", str(pace)),
    ]
    url = network.url("chain", "ws")
    miners = tuple(map(network.identity, network.miner_names))
    return Process(
        "chain",
        [sys.executable, *command],
        _around(network),
        probes.tcp(port),
        furnish=lambda: ground.furnish(url, network.identity("validator"), miners),
        folder=ROOT,
    )


def _docker(network: Network) -> Process:
    return docker_engine.process(_around(network), furnish=images.build)


def _service(network: Network, service: str, needs: tuple[str, ...]) -> list[Process]:
    """What stands before every process of a service: its tables, then its first rows."""
    module = service.split("-")[0]
    migrate, seed = f"{service}-migrate", f"{service}-seed"
    return [
        _python(network, service, migrate, ["-m", module, "migrate"], needs, once=True),
        _python(network, service, seed, ["-m", module, "seed"], (migrate,), once=True),
    ]


def _web(
    network: Network, service: str, name: str, command: list[str], after: tuple[str, ...]
) -> Process:
    ready = probes.http(network.url(name) + "/health")
    return _python(network, service, name, command, (f"{service}-seed", *after), ready=ready)


def _python(
    network: Network,
    service: str,
    name: str,
    command: list[str],
    after: tuple[str, ...],
    ready: Ready = None,
    *,
    once: bool = False,
) -> Process:
    env = service_env(network, service)
    command = [sys.executable, *command]
    return Process(name, command, env, ready, after, once=once, folder=ROOT)


def _around(network: Network) -> dict[str, str]:
    """What every process of the network is told."""
    return {
        **os.environ,
        MARK: str(network.home.path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "BITTENSOR_RUNTIME_CACHE_DIR": str(network.home.path / "runtime-cache"),
        "BTCLI_TOKEN_SYMBOLS_CACHE": str(network.home.path / "token-symbols"),
        # Whatever serves files to jobs here has a loopback address.
        "EXECUTOR_ALLOW_PRIVATE_URLS": "true",
        "EXECUTOR_RELAY_IMAGE": images.RELAY,
        "EXECUTOR_STREAMING_HOST": "127.0.0.1",
    }


def _told(network: Network, service: str) -> dict[str, str]:
    module = service.split("-")[0]
    web = "validator-web" if module == "validator" else service
    told = {
        "SECRET_KEY": network.home.secret(f"{service}-django"),
        "DATABASE_URL": network.database(service),
        "HOST": "127.0.0.1",
        "PORT": str(network.home.port(web)),
        "ADMIN_USER": ADMIN_USER,
        "ADMIN_PASSWORD": network.home.secret(f"{service}-admin"),
        **_PARTICULAR[module](network, service),
        **network.home.settings(service),
    }
    return {_prefix(module) + name: value for name, value in told.items()}


def _facilitator_told(network: Network, service: str) -> dict[str, str]:
    return {
        "ALLOWED_HOTKEYS": network.identity("user").hotkey,
        "VALIDATORS": network.identity("validator").hotkey,
    }


def _validator_told(network: Network, service: str) -> dict[str, str]:
    return {
        "HOTKEY_FILE": str(network.identity("validator").hotkey_file),
        "FACILITATOR_URL": network.url("facilitator", "ws") + "/ws/v0/",
        "REDIS_URL": valkey.url(network.home),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "ALLOWED_SIGNERS": network.identity("user").hotkey,
        "STREAMING_IMAGES": STREAMING_IMAGES,
        # The only class there is here must be worth something.
        "CLASS_WEIGHTS": '{"always_on.test": 1}',
        # A block takes a second here, not twelve.
        "REFRESH_SECONDS": "2",
        "MANIFEST_SECONDS": "5",
        "TICK_SECONDS": "1",
    }


def _miner_told(network: Network, service: str) -> dict[str, str]:
    return {
        "HOTKEY_FILE": str(network.identity(service).hotkey_file),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "EXECUTOR_MANAGER": "local",
        "EXECUTORS": '{"always_on.test": 4}',
        "EXTERNAL_IP": "127.0.0.1",
        "STREAMING_IMAGES": STREAMING_IMAGES,
        "WORK_DIR": str(network.home.path / f"{service}-work"),
    }


_PARTICULAR: Mapping[str, Callable[[Network, str], dict[str, str]]] = {
    "facilitator": _facilitator_told,
    "validator": _validator_told,
    "miner": _miner_told,
}


def _prefix(service: str) -> str:
    return f"{service.split('-')[0].upper()}_"


def _database_name(service: str) -> str:
    return service.replace("-", "_")
