"""Context managers that start real servers or whole networks for tests and remove them after."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localnet import network_lifecycle, postgres
from localnet.network_dir import NetworkDir
from localnet.process_table import Network, service_env
from localnet.supervisor import state_file

SERVERS = ("postgres", "valkey")


@contextmanager
def running(
    only: Sequence[str] = (), *, miners: int = 1, path: Path | None = None
) -> Iterator[NetworkDir]:
    """Run a network, or the named processes with their dependencies, in a directory of its own.

    Its data is of no use after a crash of the machine, so that PostgreSQL does without fsync.
    """
    network_dir = NetworkDir.at(path or Path(tempfile.mkdtemp(prefix="localnet-")))
    network_dir.path.chmod(0o755)
    try:
        network_lifecycle.up(
            network_dir, only=only, miners=miners, on_progress=lambda line: None, attached=True
        )
        if any(one.name == "postgres" for one in state_file.read(network_dir)):
            postgres.leave_writing_to_the_system(network_dir)
        yield network_dir
    finally:
        network_lifecycle.down(network_dir)
        postgres.remove(network_dir)
        if path is None:
            shutil.rmtree(network_dir.path)


def settings_env(network_dir: NetworkDir) -> dict[str, str]:
    """The settings of all services, with the addresses of this network's servers."""
    network = Network(network_dir)
    env = [service_env(network, service) for service in network.services]
    return {name: value for one in env for name, value in one.items() if _is_service_setting(name)}


def _is_service_setting(name: str) -> bool:
    return name.startswith(("FACILITATOR_", "VALIDATOR_", "MINER_", "EXECUTOR_"))
