"""The state file, in which a running supervisor publishes the state of its processes."""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO

import psutil

from localnet.network_dir import NetworkDir, write_atomically
from localnet.supervisor.supervised_process import SupervisedProcess


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """The last state of one process; `created` is its start in seconds since the epoch."""

    name: str
    state: str
    pid: int | None
    created: float | None
    restarts: int
    detail: str
    log: str

    @property
    def uptime_seconds(self) -> float | None:
        """Seconds since the start of the process; None when it does not run."""
        return None if self.created is None else max(0.0, time.time() - self.created)


def write(network_dir: NetworkDir, processes: Iterable[SupervisedProcess]) -> None:
    """Replace the state file."""
    state = {"supervisor": os.getpid(), "processes": [asdict(_entry(one)) for one in processes]}
    write_atomically(network_dir.state_file, json.dumps(state, indent=1))


def read(network_dir: NetworkDir) -> list[ProcessEntry]:
    """The processes in the state file; empty before the first start."""
    try:
        return [
            ProcessEntry(**entry)
            for entry in json.loads(network_dir.state_file.read_text())["processes"]
        ]
    except FileNotFoundError:
        return []


def supervisor(network_dir: NetworkDir) -> psutil.Process | None:
    """The process that supervises this network; None when the network is down."""
    try:
        with lock(network_dir):
            return None
    except BlockingIOError:
        pid = int((network_dir.path / "lock").read_text() or 0)
        return psutil.Process(pid) if psutil.pid_exists(pid) else None


def lock(network_dir: NetworkDir) -> IO[str]:
    """Lock the network for starting or supervising it; the kernel unlocks it when its holder ends.

    Raises `BlockingIOError` when another process holds the lock.
    """
    held = (network_dir.path / "lock").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise
    return held


def claim(network_dir: NetworkDir, pid: int) -> None:
    """Record the pid of the supervisor, which holds the lock."""
    (network_dir.path / "lock").write_text(str(pid))


def _entry(supervised: SupervisedProcess) -> ProcessEntry:
    try:
        created = psutil.Process(supervised.pid).create_time() if supervised.pid else None
    except psutil.NoSuchProcess:
        created = None
    return ProcessEntry(
        name=supervised.spec.name,
        state=supervised.state,
        pid=supervised.pid,
        created=created,
        restarts=supervised.restarts,
        detail=supervised.detail,
        log=str(supervised.log_file),
    )
