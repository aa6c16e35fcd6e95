"""The network under measurement: bringing it up, and what its processes cost."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from compute_horde_sdk.v1 import ComputeHordeClient
from localnet import control, state
from localnet.home import Home
from localnet.network import ROOT

UNPAID = frozenset({"docker"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service's process tree has used."""

    cpu_seconds: float
    memory_mib: float
    processes: int


@contextmanager
def network(path: Path = ROOT / ".localnet") -> Iterator[Home]:
    """A running localnet; one that was not up before is down afterwards."""
    home = Home.at(path)
    was_up = state.supervisor(home) is not None
    control.up(home, miners=1, only=[], tell=print)
    try:
        yield home
    finally:
        if not was_up:
            control.down(home)


def settings(home: Home) -> dict[str, str]:
    """The `KEY=VALUE` lines of the network."""
    return dict(line.split("=", 1) for line in home.env_file.read_text().splitlines())


def client(home: Home) -> ComputeHordeClient:
    """The local user's client."""
    from compute_horde.keyfile import load_hotkey

    env = settings(home)
    return ComputeHordeClient(
        hotkey=load_hotkey(Path(env["USER_HOTKEY_FILE"])),
        compute_horde_validator_hotkey=env["VALIDATOR_HOTKEY"],
        facilitator_url=env["FACILITATOR_URL"],
    )


def costs(home: Home) -> dict[str, Cost]:
    """Each long-lived process of the network with its children, by name."""
    return {
        entry.name: _cost(psutil.Process(entry.pid))
        for entry in state.read(home)
        if entry.pid and psutil.pid_exists(entry.pid) and entry.name not in UNPAID
    }


def _cost(root: psutil.Process) -> Cost:
    cpu, memory, count = 0.0, 0.0, 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            cpu += sum(process.cpu_times()[:4])
            memory += process.memory_full_info().pss / 2**20
            count += 1
    return Cost(cpu, memory, count)


def report(before: dict[str, Cost], after: dict[str, Cost], jobs: int) -> None:
    """CPU per job of every service and what each holds in memory."""
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
