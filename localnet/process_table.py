"""The table of the network's processes, with the settings of each."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localnet import chain_setup, docker_engine, images, postgres, trusted_miner, valkey
from localnet.identities import LocalIdentity, ensure_identity
from localnet.network_dir import NetworkDir
from localnet.supervisor import readiness
from localnet.supervisor.orphans import NETWORK_VARIABLE
from localnet.supervisor.readiness import Probe
from localnet.supervisor.supervised_process import ProcessSpec

NETUID = 12
TEMPO = 60
BLOCK_SECONDS = 1
ADMIN_USER = "admin"
STREAMING_IMAGES = LOCAL_IMAGES = "computehorde/*"
# The names of the ports on which the admin pages of the services listen.
_ADMIN_PORTS = {"facilitator": "facilitator", "validator": "validator-web", "miner": "miner-admin"}

ROOT = Path(__file__).resolve().parent.parent


class UnknownProcessError(Exception):
    """The table has no process of this name; the message lists the names."""


@dataclass(frozen=True, slots=True)
class Network:
    """The directory of a network, and which of its optional processes it has."""

    directory: NetworkDir
    miners: int = 1
    has_own_docker: bool = False
    has_trusted_miner: bool = False

    def identity(self, name: str) -> LocalIdentity:
        return ensure_identity(self.directory, name)

    def url(self, process: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.directory.port(process)}"

    def database(self, service: str) -> str:
        return postgres.url(self.directory, _database_name(service))

    @property
    def miner_names(self) -> tuple[str, ...]:
        return tuple("miner" if n == 1 else f"miner-{n}" for n in range(1, self.miners + 1))

    @property
    def services(self) -> tuple[str, ...]:
        trusted = (trusted_miner.NAME,) if self.has_trusted_miner else ()
        return ("facilitator", "validator", *self.miner_names, *trusted)


def processes(network: Network, only: Iterable[str] = ()) -> list[ProcessSpec]:
    """All processes, or the named ones with their dependencies. Raises `UnknownProcessError`."""
    table = {process.name: process for process in _table(network)}
    selected, queue = set(), list(only) or list(table)
    while queue:
        name = queue.pop()
        if name not in table:
            raise UnknownProcessError(f"no process {name!r}; there are {', '.join(table)}")
        selected.add(name)
        queue += [other for other in table[name].depends_on if other not in selected]
    return [process for name, process in table.items() if name in selected]


def check_names(network: Network, only: Iterable[str]) -> None:
    """Raise `UnknownProcessError` for a name that the network's table does not have."""
    processes(network, only)


def service_env(network: Network, service: str) -> dict[str, str]:
    """The environment of every process of a service."""
    others = tuple(_prefix(other) for other in _OWN_SETTINGS if other != service.split("-")[0])
    common = {k: v for k, v in _common_env(network).items() if not k.startswith(others)}
    return common | _service_settings(network, service)


def env_lines(network: Network) -> dict[str, str]:
    """The addresses and keys that clients of the network need, for the file `env`."""
    miner, user = network.identity("miner"), network.identity("user")
    lines = {
        "FACILITATOR_URL": network.url("facilitator"),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "VALIDATOR_HOTKEY": network.identity("validator").hotkey,
        "MINER_HOTKEY": miner.hotkey,
        "MINER_ADDRESS": "127.0.0.1",
        "MINER_PORT": str(network.directory.port("miner")),
        "USER_HOTKEY_FILE": str(user.hotkey_file),
        "VALIDATOR_HOTKEY_FILE": str(network.identity("validator").hotkey_file),
        "REDIS_URL": valkey.url(network.directory),
    }
    for service in ("facilitator", "validator", "miner"):
        prefix, admin = _prefix(service), _ADMIN_PORTS[service]
        lines[f"{prefix}DATABASE_URL"] = network.database(service)
        lines[f"{prefix}ADMIN_URL"] = f"{network.url(admin)}/admin/"
        lines[f"{prefix}ADMIN_USER"] = ADMIN_USER
        lines[f"{prefix}ADMIN_PASSWORD"] = network.directory.secret(f"{service}-admin")
    return lines


def _table(network: Network) -> list[ProcessSpec]:
    return [
        postgres.process(network.directory, tuple(map(_database_name, network.services))),
        valkey.process(network.directory),
        _chain(network),
        *([_docker(network)] if network.has_own_docker else []),
        *_service(network, "facilitator", depends_on=("postgres",)),
        _facilitator(network),
        *_service(network, "validator", depends_on=("postgres",)),
        *_validator(network),
        *(row for name in network.miner_names for row in _miner(network, name)),
        *(_miner_web(network, trusted_miner.NAME) if network.has_trusted_miner else ()),
    ]


def _facilitator(network: Network) -> ProcessSpec:
    return _web(network, "facilitator", "facilitator", ["-m", "facilitator"], depends_on=())


def _validator(network: Network) -> list[ProcessSpec]:
    depends_on = ("validator-seed", "valkey", "chain")
    validator_connected = readiness.metric_above_zero(
        network.url("facilitator") + "/metrics",
        "facilitator_validator_connections",
        network.directory.secret("facilitator-metrics"),
    )
    # Neurons are counted once a task that beat sent has read the miners' axons from the chain.
    miners_known = readiness.metric_above_zero(
        network.url("validator-web") + "/metrics",
        "validator_serving_neurons",
        network.directory.secret("validator-metrics"),
    )

    def row(name: str, command: list[str], *more: str, probe: Probe | None = None) -> ProcessSpec:
        return _python(network, "validator", name, command, (*depends_on, *more), probe)

    return [
        _web(
            network,
            "validator",
            "validator-web",
            ["-m", "validator", "web"],
            depends_on=("valkey",),
        ),
        row(
            "validator-listen",
            ["-m", "validator", "listen"],
            "facilitator",
            probe=validator_connected,
        ),
        row("validator-worker", ["-m", "validator", "worker"]),
        row("validator-receipts", ["-m", "validator", "receipts"]),
        row(
            "validator-beat",
            ["-m", "validator", "beat"],
            *("validator-web", "validator-worker", "miner-keep"),
            probe=miners_known,
        ),
    ]


def _miner(network: Network, name: str) -> list[ProcessSpec]:
    return [
        *_miner_web(network, name),
        _python(network, name, f"{name}-keep", ["-m", "miner", "keep"], (f"{name}-seed", "chain")),
    ]


def _miner_web(network: Network, name: str) -> list[ProcessSpec]:
    docker = ("docker",) if network.has_own_docker else ()
    return [
        *_service(network, name, depends_on=("postgres",)),
        _web(network, name, name, ["-m", "miner", "web"], depends_on=docker),
    ]


def _chain(network: Network) -> ProcessSpec:
    port, state = network.directory.port("chain"), network.directory.path / "chain-state"
    chain_settings = network.directory.settings("chain")
    tempo, seconds = (
        chain_settings.get("TEMPO", TEMPO),
        chain_settings.get("BLOCK_SECONDS", BLOCK_SECONDS),
    )
    command = [
        *("-m", "localnet.chain", "--port", str(port), "--state", str(state)),
        *("--netuid", str(NETUID), "--tempo", str(tempo), "--block-seconds", str(seconds)),
    ]
    url = network.url("chain", "ws")
    miners = tuple(map(network.identity, network.miner_names))
    return ProcessSpec(
        "chain",
        [sys.executable, *command],
        _common_env(network),
        readiness.tcp(port),
        on_first_ready=lambda: chain_setup.register_all(url, network.identity("validator"), miners),
        folder=ROOT,
    )


def _docker(network: Network) -> ProcessSpec:
    return docker_engine.process(_common_env(network), on_first_ready=images.build)


def _service(network: Network, service: str, depends_on: tuple[str, ...]) -> list[ProcessSpec]:
    """The steps before every process of a service: create its tables, then its first rows."""
    module = service.split("-")[0]
    migrate, seed = f"{service}-migrate", f"{service}-seed"
    return [
        _python(network, service, migrate, ["-m", module, "migrate"], depends_on, is_oneshot=True),
        _python(network, service, seed, ["-m", module, "seed"], (migrate,), is_oneshot=True),
    ]


def _web(
    network: Network, service: str, name: str, command: list[str], depends_on: tuple[str, ...]
) -> ProcessSpec:
    probe = readiness.http(network.url(name) + "/health")
    return _python(network, service, name, command, (f"{service}-seed", *depends_on), probe=probe)


def _python(
    network: Network,
    service: str,
    name: str,
    command: list[str],
    depends_on: tuple[str, ...],
    probe: Probe | None = None,
    *,
    is_oneshot: bool = False,
) -> ProcessSpec:
    env = service_env(network, service)
    command = [sys.executable, *command]
    return ProcessSpec(name, command, env, probe, depends_on, is_oneshot=is_oneshot, folder=ROOT)


def _common_env(network: Network) -> dict[str, str]:
    """The environment of every process of the network."""
    return {
        **os.environ,
        NETWORK_VARIABLE: str(network.directory.path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "BITTENSOR_RUNTIME_CACHE_DIR": str(network.directory.path / "runtime-cache"),
        "BTCLI_TOKEN_SYMBOLS_CACHE": str(network.directory.path / "token-symbols"),
        # File servers for jobs have loopback addresses here.
        "EXECUTOR_ALLOW_PRIVATE_URLS": "true",
        "EXECUTOR_RELAY_IMAGE": images.RELAY,
        # Built on this machine; no registry has them.
        "EXECUTOR_LOCAL_IMAGES": LOCAL_IMAGES,
        "EXECUTOR_REGISTRIES": "docker.io,ghcr.io,nvcr.io,quay.io,127.0.0.1:*",
        "EXECUTOR_STREAMING_HOST": "127.0.0.1",
    }


def _service_settings(network: Network, service: str) -> dict[str, str]:
    module = service.split("-")[0]
    web = "validator-web" if module == "validator" else service
    settings = {
        "SECRET_KEY": network.directory.secret(f"{service}-secret-key"),
        "DATABASE_URL": network.database(service),
        "HOST": "127.0.0.1",
        "PORT": str(network.directory.port(web)),
        "ADMIN_USER": ADMIN_USER,
        "ADMIN_PASSWORD": network.directory.secret(f"{service}-admin"),
        **_OWN_SETTINGS[module](network, service),
        **network.directory.settings(service),
    }
    return {_prefix(module) + name: value for name, value in settings.items()}


def _facilitator_settings(network: Network, service: str) -> dict[str, str]:
    return {
        "METRICS_TOKEN": network.directory.secret("facilitator-metrics"),
        "ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
        "ALLOWED_HOTKEYS": network.identity("user").hotkey,
        "VALIDATORS": network.identity("validator").hotkey,
    }


def _validator_settings(network: Network, service: str) -> dict[str, str]:
    return {
        # Validators of a local network have next to no stake.
        "RECEIPT_MIN_STAKE": "0",
        "METRICS_TOKEN": network.directory.secret("validator-metrics"),
        "HOTKEY_FILE": str(network.identity("validator").hotkey_file),
        "FACILITATOR_URL": network.url("facilitator", "ws") + "/ws/v0/",
        "REDIS_URL": valkey.url(network.directory),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "ALLOWED_SIGNERS": network.identity("user").hotkey,
        "STREAMING_IMAGES": STREAMING_IMAGES,
        # All miners of a local network are on this machine.
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        # The network's only executor class needs a weight above zero.
        "CLASS_WEIGHTS": '{"always_on.test": 1}',
        # However little the only validator has staked, it runs batches.
        "BATCH_OUTSIDE_SET": "true",
        # A block takes a second here, not twelve.
        "REFRESH_SECONDS": "2",
        "MANIFEST_SECONDS": "5",
        "MANIFEST_CHANGE_SECONDS": "0",
        "TICK_SECONDS": "1",
        **(
            trusted_miner.validator_settings(network.directory) if network.has_trusted_miner else {}
        ),
    }


def _miner_settings(network: Network, service: str) -> dict[str, str]:
    trusted = trusted_miner.miner_settings(network.identity("validator").hotkey)
    return {
        **(trusted if service == trusted_miner.NAME else {}),
        "ADMIN_PORT": str(network.directory.port(f"{service}-admin")),
        "HOTKEY_FILE": str(network.identity(service).hotkey_file),
        "CHAIN_URL": network.url("chain", "ws"),
        "NETUID": str(NETUID),
        "EXECUTOR_MANAGER": "local",
        "EXECUTORS": '{"always_on.test": 4}',
        "EXTERNAL_IP": "127.0.0.1",
        "STREAMING_IMAGES": STREAMING_IMAGES,
        "WORK_DIR": str(network.directory.path / f"{service}-work"),
    }


_OWN_SETTINGS: Mapping[str, Callable[[Network, str], dict[str, str]]] = {
    "facilitator": _facilitator_settings,
    "validator": _validator_settings,
    "miner": _miner_settings,
}


def _prefix(service: str) -> str:
    return f"{service.split('-')[0].upper()}_"


def _database_name(service: str) -> str:
    return service.replace("-", "_")
