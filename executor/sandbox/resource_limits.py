"""The resource limits of a job, and which limit may explain its failure; pure."""

import re
from dataclasses import dataclass

from compute_horde.hardware import PROMISES, ExecutorClass
from executor.config import GIB, Config

MEMORY_SHARE = DISK_SHARE = 0.9
SMALLEST = ExecutorClass.always_on__test
KILLED = 137
FILE_TOO_LARGE = 153
# The end of stderr is searched for these error texts: only hints, as a job can print anything.
SEARCHED_CHARACTERS = 4096
NO_PROCESS = re.compile(
    r"(can.?t|cannot|unable to|failed to) (fork|start new thread)|fork(:| failed)|pthread_create"
    r"|resource temporarily unavailable",
    re.IGNORECASE,
)
NO_SPACE = re.compile(r"no space left on device", re.IGNORECASE)
TOO_LARGE = re.compile(r"file too large", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The limits of one job, sizes in bytes; `cpus` is None for the whole machine."""

    memory: int
    cpus: float | None
    pids: int
    disk: int
    files: int
    tmp: int
    shm: int


def for_class(asked: ExecutorClass, config: Config) -> ResourceLimits:
    """The configured limits, else those of the executor class, at most what the machine has.

    An executor with a configured class applies that one, whatever class the job requests.
    """
    promise = PROMISES[config.executor_class or asked]
    memory = config.memory_bytes or _memory(promise.ram_gb, config)
    return ResourceLimits(
        memory=memory,
        cpus=_cpus(config.cpus or promise.cores, config),
        pids=config.pids or promise.pids,
        disk=config.disk_max_bytes or _disk(promise.disk_gb, config),
        files=config.disk_max_files or promise.files,
        tmp=config.tmp_bytes or promise.tmp_gb * GIB,
        shm=min(config.shm_bytes or promise.shm_gb * GIB, memory),
    )


def input_bytes(config: Config) -> int:
    """Bytes that all volumes of a job may have, unpacked.

    A machine with a smaller disk than its class promises does not lower this limit.
    """
    promised = PROMISES[config.executor_class or SMALLEST].disk_gb * GIB
    return config.unpacked_max_bytes or (config.disk_max_bytes or promised) // 2


def image_bytes(config: Config) -> int:
    """Bytes that the layers of a job's image may have, unpacked."""
    promised = PROMISES[config.executor_class or SMALLEST].disk_gb * GIB
    return config.image_max_bytes or promised // 2


def _disk(promised_gb: int, config: Config) -> int:
    return min(promised_gb * GIB, int(config.total_disk() * DISK_SHARE))


def _memory(promised_gb: int | None, config: Config) -> int:
    most = int(config.total_memory() * MEMORY_SHARE)
    return most if promised_gb is None else min(promised_gb * GIB, most)


def _cpus(wanted: float | None, config: Config) -> float | None:
    """The limit, or None when the machine has no more; the engine refuses more than there are."""
    return None if wanted is None or wanted >= config.processors() else wanted


@dataclass(frozen=True, slots=True)
class JobExit:
    """How a job ended.

    `pids` is the most processes seen at once, `disk` the bytes at the end. `out_of_memory` comes
    from the kernel: a program may also end by itself with the exit code of a killed one.
    """

    code: int
    printed: str
    pids: int
    disk: int
    out_of_memory: bool


def explain(end: JobExit, limits: ResourceLimits) -> str:
    """Which limit may have ended the job, with its value; empty when none is likely."""
    stderr_end = end.printed[-SEARCHED_CHARACTERS:]
    if end.out_of_memory:
        return f"killed; its memory limit was {limits.memory} bytes"
    if end.code == FILE_TOO_LARGE or TOO_LARGE.search(stderr_end):
        return f"no file may be larger than {limits.disk} bytes"
    if end.disk >= limits.disk:
        return f"its disk was full at {limits.disk} bytes"
    if end.pids >= limits.pids or NO_PROCESS.search(stderr_end):
        return f"its limit was {limits.pids} processes and threads"
    if NO_SPACE.search(stderr_end):
        return f"its scratch space was {limits.tmp} bytes, its /dev/shm {limits.shm}"
    if end.code == KILLED:
        return "its exit code is that of SIGKILL, but it was not out of memory"
    return ""
