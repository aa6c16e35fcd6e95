"""Real servers and whole networks for tests, gone when the tests are."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localnet import control, postgres
from localnet.home import Home
from localnet.network import Network, service_env

SERVERS = ("postgres", "valkey")


@contextmanager
def running(
    only: Sequence[str] = (), *, miners: int = 1, path: Path | None = None
) -> Iterator[Home]:
    """A network, or the named processes with what they need, in a home of its own."""
    home = Home.at(path or Path(tempfile.mkdtemp(prefix="localnet-")))
    home.path.chmod(0o755)
    try:
        control.up(home, only=only, miners=miners, tell=lambda line: None, attached=True)
        yield home
    finally:
        control.down(home)
        postgres.remove(home)
        if path is None:
            shutil.rmtree(home.path)


def settings_env(home: Home) -> dict[str, str]:
    """What the settings modules of all services need, pointing at the servers of this home."""
    network = Network(home)
    told = [service_env(network, service) for service in network.services]
    return {name: value for one in told for name, value in one.items() if _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.startswith(("FACILITATOR_", "VALIDATOR_", "MINER_", "EXECUTOR_"))
