"""Measures memory of the network's processes and how long their event loops are blocked."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import psutil

PROBES_PER_SECOND = 20
PROBE_SECONDS = 20
# Not HTTP: rejected by the event loop itself, without threads or database.
PROBE = b"\x00\r\n\r\n"
NICENESS = -10


@dataclass
class Memory:
    """Resident memory of a process, in bytes."""

    at_start: int
    highest: int
    last: int


@dataclass
class Stalls:
    """Response times of an event loop to probes, in seconds.

    `slowest_own` excludes time in which the process was waiting for a processor.
    """

    probes: int = 0
    refused: int = 0
    slowest: float = 0.0
    slowest_own: float = 0.0


@dataclass
class Report:
    """Memory and stalls by process name."""

    memory: dict[str, Memory]
    stalls: dict[str, Stalls]


def measure(
    pids: Mapping[str, int], urls: Mapping[str, str], stop: Connection, seconds: float
) -> None:
    """Measure until a message arrives on `stop` or `seconds` pass, then send a `Report` there.

    Runs in its own process.
    """
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    report = Report({}, {name: Stalls() for name in urls})
    give_up = time.monotonic() + seconds
    while not stop.poll() and time.monotonic() < give_up:
        _sample_memory(report.memory, pids)
        for _ in range(PROBES_PER_SECOND):
            for name, url in urls.items():
                _probe(report.stalls[name], pids[name], url)
            time.sleep(1 / PROBES_PER_SECOND)
    stop.send(report)


def _sample_memory(memory: dict[str, Memory], pids: Mapping[str, int]) -> None:
    for name, pid in pids.items():
        with contextlib.suppress(psutil.Error):
            now = psutil.Process(pid).memory_info().rss
            known = memory.setdefault(name, Memory(now, now, now))
            known.highest, known.last = max(known.highest, now), now


def _probe(stalls: Stalls, pid: int, url: str) -> None:
    parts = urlsplit(url)
    waited_before, began = _waited_for_processor(pid), time.perf_counter()
    try:
        with socket.create_connection((parts.hostname, parts.port), PROBE_SECONDS) as line:
            line.settimeout(PROBE_SECONDS)
            line.sendall(PROBE)
            line.recv(1)
    except OSError:
        stalls.refused += 1
        return
    took = time.perf_counter() - began
    own = took - (_waited_for_processor(pid) - waited_before)
    stalls.probes += 1
    stalls.slowest = max(stalls.slowest, took)
    stalls.slowest_own = max(stalls.slowest_own, own)


def _waited_for_processor(pid: int) -> float:
    """Seconds for which the main thread was runnable but not running (proc(5), schedstat)."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9
