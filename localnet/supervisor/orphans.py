"""Finds and ends processes of a network that has no supervisor."""

import json
from collections.abc import Iterator

import psutil

from localnet.network_dir import NetworkDir

# In the environment of every process of a network, and so of the processes it starts: the path of
# the network's directory.
NETWORK_VARIABLE = "LOCALNET_OF"

_END_WITHIN_SECONDS = 5


def terminate(network_dir: NetworkDir) -> list[str]:
    """End every process that belongs to this network; their names."""
    found = {
        process.pid: process
        for process in (*_by_environment(network_dir), *_by_state_file(network_dir))
    }
    names = []
    for process in found.values():
        try:
            names.append(process.name())
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, remaining = psutil.wait_procs(found.values(), timeout=_END_WITHIN_SECONDS)
    for process in remaining:
        process.kill()
    psutil.wait_procs(remaining, timeout=_END_WITHIN_SECONDS)
    return names


def _by_environment(network_dir: NetworkDir) -> Iterator[psutil.Process]:
    own = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get(NETWORK_VARIABLE) == str(network_dir.path)
                and process.pid not in own
            ):
                yield process
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue


def _by_state_file(network_dir: NetworkDir) -> Iterator[psutil.Process]:
    """Processes in the state file: some servers overwrite their environment."""
    try:
        state = json.loads(network_dir.state_file.read_text())
    except FileNotFoundError:
        return
    for entry in state["processes"]:
        try:
            process = psutil.Process(entry["pid"]) if entry["pid"] else None
            if process and process.create_time() == entry["created"] and _is_running(process):
                yield process
        except psutil.NoSuchProcess:
            continue


def _is_running(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE
