"""What a job gets of its machine, and how it is told that this was not enough; pure."""

import re
from dataclasses import dataclass

from compute_horde.hardware import PROMISES, ExecutorClass
from executor.config import GIB, Config

MEMORY_SHARE = DISK_SHARE = 0.9
SMALLEST = ExecutorClass.always_on__test
KILLED = 137
FILE_TOO_LARGE = 153
# How programs complain; a hint only, since a job can print what it likes.
LAST_WORDS = 4096
NO_PROCESS = re.compile(
    r"(can.?t|cannot|unable to|failed to) (fork|start new thread)|fork(:| failed)|pthread_create"
    r"|resource temporarily unavailable",
    re.IGNORECASE,
)
NO_SPACE = re.compile(r"no space left on device", re.IGNORECASE)
TOO_LARGE = re.compile(r"file too large", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most one job may have; `cpus` is None where that is the whole machine."""

    memory: int
    cpus: float | None
    pids: int
    disk: int
    files: int
    tmp: int
    shm: int


def of(asked: ExecutorClass, config: Config) -> Limits:
    """As set, else what the class promises, as far as the machine has it.

    An executor that knows its class gives no job what another class may have.
    """
    promise = PROMISES[config.executor_class or asked]
    memory = config.memory_bytes or _memory(promise.ram_gb, config)
    return Limits(
        memory=memory,
        cpus=_cpus(config.cpus or promise.cores, config),
        pids=config.pids or promise.pids,
        disk=config.disk_max_bytes or _disk(promise.disk_gb, config),
        files=config.disk_max_files or promise.files,
        tmp=config.tmp_bytes or promise.tmp_gb * GIB,
        shm=min(config.shm_bytes or promise.shm_gb * GIB, memory),
    )


def inputs_of(config: Config) -> int:
    """Bytes that all the volumes of a job may fill, unpacked.

    That the machine's disk is smaller than promised is no fault of the job, so it does not count.
    """
    promised = PROMISES[config.executor_class or SMALLEST].disk_gb * GIB
    return config.unpacked_max_bytes or (config.disk_max_bytes or promised) // 2


def _disk(promised_gb: int, config: Config) -> int:
    return min(promised_gb * GIB, int(config.total_disk() * DISK_SHARE))


def _memory(promised_gb: int | None, config: Config) -> int:
    most = int(config.total_memory() * MEMORY_SHARE)
    return most if promised_gb is None else min(promised_gb * GIB, most)


def _cpus(wanted: float | None, config: Config) -> float | None:
    """A limit only where it is one; the engine refuses more than there are."""
    return None if wanted is None or wanted >= config.processors() else wanted


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of how a job ended.

    `pids` is the most it was seen to have at once, `disk` what it had at the end.
    """

    code: int
    printed: str
    pids: int
    disk: int
    out_of_memory: bool


def explained(end: Ending, limits: Limits) -> str:
    """Which limit may have ended the job, with its value; empty when none is likely."""
    words = end.printed[-LAST_WORDS:]
    if end.code == KILLED or end.out_of_memory:
        return f"killed; its memory limit was {limits.memory} bytes"
    if end.code == FILE_TOO_LARGE or TOO_LARGE.search(words):
        return f"no file may be larger than {limits.disk} bytes"
    if end.disk >= limits.disk:
        return f"its disk was full at {limits.disk} bytes"
    if end.pids >= limits.pids or NO_PROCESS.search(words):
        return f"its limit was {limits.pids} processes and threads"
    if NO_SPACE.search(words):
        return f"its scratch space was {limits.tmp} bytes, its /dev/shm {limits.shm}"
    return ""
