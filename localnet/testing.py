"""Real servers and whole networks for tests, gone when the tests are."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localnet import control, postgres, probes, state
from localnet.home import Home
from localnet.network import Network, service_env

SERVERS = ("postgres", "valkey")


@dataclass(frozen=True, slots=True)
class Running:
    """A network that is up."""

    home: Home

    @property
    def env(self) -> dict[str, str]:
        """The lines of its env file: addresses, keys, databases, admin pages."""
        return dict(line.split("=", 1) for line in self.home.env_file.read_text().splitlines())

    def entry(self, name: str) -> state.Entry:
        return next(entry for entry in state.read(self.home) if entry.name == name)

    def kill(self, name: str) -> state.Entry:
        """Kill a process as hard as it goes; returns what it was."""
        victim = self.entry(name)
        os.kill(victim.pid or 0, signal.SIGKILL)
        return victim

    async def back(self, victim: state.Entry, *, within_seconds: float = 30) -> bool:
        """Wait until a killed process is ready again as another process."""

        async def asked() -> bool:
            now = self.entry(victim.name)
            return now.state == "ready" and now.pid != victim.pid

        return await probes.until(asked, within_seconds=within_seconds)

    def log(self, name: str) -> str:
        return self.home.log(name).read_text(errors="replace")


@contextmanager
def running(
    only: Sequence[str] = (), *, miners: int = 1, path: Path | None = None
) -> Iterator[Running]:
    """A network, or the named processes with what they need, in a home of its own."""
    home = Home.at(path or Path(tempfile.mkdtemp(prefix="localnet-")))
    home.path.chmod(0o755)
    try:
        control.up(home, only=only, miners=miners, tell=lambda line: None, attached=True)
        yield Running(home)
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
