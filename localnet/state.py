"""What a running supervisor tells about its processes, through a file."""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO

import psutil

from localnet.home import Home, write_whole
from localnet.keeper import Keeper


@dataclass(frozen=True, slots=True)
class Entry:
    """One process as the supervisor last saw it."""

    name: str
    state: str
    pid: int | None
    created: float | None
    restarts: int
    detail: str
    log: str

    @property
    def uptime_seconds(self) -> float | None:
        return None if self.created is None else max(0.0, time.time() - self.created)


def write(home: Home, keepers: Iterable[Keeper]) -> None:
    state = {"supervisor": os.getpid(), "processes": [asdict(_entry(one)) for one in keepers]}
    write_whole(home.state_file, json.dumps(state, indent=1))


def read(home: Home) -> list[Entry]:
    """Empty when nothing was ever started."""
    try:
        return [Entry(**entry) for entry in json.loads(home.state_file.read_text())["processes"]]
    except FileNotFoundError:
        return []


def supervisor(home: Home) -> psutil.Process | None:
    """The process that holds this home, if it is up."""
    try:
        with lock(home):
            return None
    except BlockingIOError:
        pid = int((home.path / "lock").read_text() or 0)
        return psutil.Process(pid) if psutil.pid_exists(pid) else None


def lock(home: Home) -> IO[str]:
    """Held by whoever starts or supervises; the kernel lets go of it, however they die."""
    held = (home.path / "lock").open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise
    return held


def claim(home: Home, pid: int) -> None:
    (home.path / "lock").write_text(str(pid))


def _entry(keeper: Keeper) -> Entry:
    try:
        created = psutil.Process(keeper.pid).create_time() if keeper.pid else None
    except psutil.NoSuchProcess:
        created = None
    return Entry(
        name=keeper.process.name,
        state=keeper.state,
        pid=keeper.pid,
        created=created,
        restarts=keeper.restarts,
        detail=keeper.detail,
        log=str(keeper.log_file),
    )
