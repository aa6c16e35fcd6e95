"""Finds and ends what a killed supervisor left running."""

import json
from collections.abc import Iterator

import psutil

from localnet.home import Home

# Every process of a network carries this variable, and so do the processes it starts.
MARK = "LOCALNET_OF"

_END_WITHIN_SECONDS = 5


def sweep(home: Home) -> list[str]:
    """End every process that belongs to this home, and name them."""
    found = {process.pid: process for process in (*_marked(home), *_noted(home))}
    names = []
    for process in found.values():
        try:
            names.append(process.name())
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, deaf = psutil.wait_procs(found.values(), timeout=_END_WITHIN_SECONDS)
    for process in deaf:
        process.kill()
    psutil.wait_procs(deaf, timeout=_END_WITHIN_SECONDS)
    return names


def _marked(home: Home) -> Iterator[psutil.Process]:
    ours = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home.path) and process.pid not in ours:
                yield process
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue


def _noted(home: Home) -> Iterator[psutil.Process]:
    """Servers that write over their own environment are known by the state file only."""
    try:
        state = json.loads(home.state_file.read_text())
    except FileNotFoundError:
        return
    for entry in state["processes"]:
        try:
            process = psutil.Process(entry["pid"]) if entry["pid"] else None
            if process and process.create_time() == entry["created"] and _lives(process):
                yield process
        except psutil.NoSuchProcess:
            continue


def _lives(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE
