"""Starts the local network for a benchmark and measures CPU and memory of its processes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from compute_horde_sdk.v1 import ComputeHordeClient
from localnet import network_lifecycle
from localnet.network_dir import NetworkDir
from localnet.process_table import ROOT
from localnet.supervisor import state_file

NOT_MEASURED = frozenset({"docker"})


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time and memory used by one service's process tree.

    `own_mib` is the part of `memory_mib` that the process uses itself, without its children.
    """

    cpu_seconds: float
    memory_mib: float
    processes: int
    own_mib: float


@contextmanager
def network(path: Path = ROOT / ".localnet") -> Iterator[NetworkDir]:
    """A running localnet, stopped afterwards unless it was running before.

    One that is started here ends with this process, however that ends.
    """
    home = NetworkDir.at(path)
    was_up = state_file.supervisor(home) is not None
    network_lifecycle.up(home, miners=1, only=[], on_progress=print, attached=True)
    try:
        yield home
    finally:
        if not was_up:
            network_lifecycle.down(home)


def settings(home: NetworkDir) -> dict[str, str]:
    """The settings in the network's environment file."""
    return dict(line.split("=", 1) for line in home.env_file.read_text().splitlines())


def client(home: NetworkDir) -> ComputeHordeClient:
    """An SDK client of the network's user."""
    from compute_horde.keyfile import load_hotkey

    env = settings(home)
    return ComputeHordeClient(
        hotkey=load_hotkey(Path(env["USER_HOTKEY_FILE"])),
        compute_horde_validator_hotkey=env["VALIDATOR_HOTKEY"],
        facilitator_url=env["FACILITATOR_URL"],
    )


def costs(home: NetworkDir) -> dict[str, Cost]:
    """The cost of each long-lived process of the network with its children, by name."""
    return {
        entry.name: _cost(psutil.Process(entry.pid))
        for entry in state_file.read(home)
        if entry.pid and psutil.pid_exists(entry.pid) and entry.name not in NOT_MEASURED
    }


def supervisor_mib(home: NetworkDir) -> float:
    """The memory of the process that supervises the network, without its children."""
    found = state_file.supervisor(home)
    return found.memory_full_info().pss / 2**20 if found else 0.0


def _cost(root: psutil.Process) -> Cost:
    cpu, memory, own, count = 0.0, 0.0, 0.0, 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            cpu += sum(process.cpu_times()[:4])
            used = process.memory_full_info().pss / 2**20
            memory += used
            own += used if process == root else 0.0
            count += 1
    return Cost(cpu, memory, count, own)


def cpu_seconds(before: dict[str, Cost], after: dict[str, Cost]) -> float:
    """CPU time that the processes of both measurements used in between."""
    return sum(now.cpu_seconds - before[name].cpu_seconds for name, now in after.items())


def report(before: dict[str, Cost], after: dict[str, Cost], jobs: int) -> None:
    """Print the CPU time per job and the memory of each service."""
    print("\nCosts (PSS counts shared pages once; CPU includes ended children)")
    total = 0.0
    for name, now in after.items():
        spent = (now.cpu_seconds - before[name].cpu_seconds) / jobs if name in before else 0.0
        total += spent
        print(
            f"  {name:18} {spent * 1000:7.1f} ms CPU per job   {now.memory_mib:6.1f} MiB"
            f"   {now.processes} processes"
        )
    print(f"  {'together':18} {total * 1000:7.1f} ms CPU per job   (target 100)")
