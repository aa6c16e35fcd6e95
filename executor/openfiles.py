"""Disk space that no directory shows: files a job deleted but holds open or mapped."""

import ctypes
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
KCMP_FILES = 2
KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
DELETED = " (deleted)\n"
# Read in one look, of all processes; a job can have so many more that a look would never end.
MOST_MAPPINGS = 2**20
BLOCK = 512

_libc = ctypes.CDLL(None, use_errno=True)


def processes(container_id: str, proc: Path = PROC) -> list[int]:
    """The container's processes, as far as this machine's are shown to us.

    They are known by their control group, which no process of a job can leave.
    """
    return [
        int(name)
        for name in os.listdir(proc)
        if name.isdigit() and container_id in _text(proc / name / "cgroup")
    ]


def _text(path: Path) -> str:
    """Empty when the process is gone, or not ours to read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@dataclass(slots=True)
class Held:
    """What processes hold: bytes per deleted file, how many files and mappings were looked at,
    and whether something was kept from us, or left out for being too much."""

    files: dict[tuple[int, int], int] = field(default_factory=dict)
    looked: int = 0
    mappings: int = 0
    hidden: bool = False

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def held(pids: list[int], on: int, *, most: int, proc: Path = PROC) -> Held | None:
    """The deleted files on device `on`, or on a process's own root; None: too many open files."""
    found = Held()
    for pid in pids:
        try:
            root = os.stat(proc / str(pid) / "root").st_dev
            for link in _links(proc / str(pid), pid, found):
                found.looked += 1
                if found.looked > most:
                    return None
                _count(link, {on, root}, found)
        except PermissionError:
            found.hidden = True
        except OSError:
            # It ended while we looked.
            continue
    return found


def _count(link: str, devices: set[int], found: Held) -> None:
    try:
        # Follows the link to the open file itself, without opening it.
        status = os.stat(link)
    except PermissionError:
        found.hidden = True
        return
    except OSError:
        return
    if status.st_nlink == 0 and stat.S_ISREG(status.st_mode) and status.st_dev in devices:
        found.files[status.st_dev, status.st_ino] = status.st_blocks * BLOCK


def _links(process: Path, pid: int, found: Held) -> Iterator[str]:
    for folder in _tables(process, pid):
        with os.scandir(folder) as listing:
            yield from (entry.path for entry in listing)
    with suppress(OSError), (process / "maps").open(errors="replace") as maps:
        # Line by line: with long names, a job can make this text as long as it likes.
        for line in maps:
            found.mappings += 1
            if found.mappings > MOST_MAPPINGS:
                found.hidden = True
                return
            if line.endswith(DELETED):
                start, _, end = line.split(" ", 1)[0].partition("-")
                # The same range, without the zeros that only the listing has.
                yield f"{process}/map_files/{int(start, 16):x}-{int(end, 16):x}"


def _tables(process: Path, pid: int) -> Iterator[Path]:
    """The open files of a process, and of each thread that has some of its own."""
    yield process / "fd"
    for name in os.listdir(process / "task"):
        if int(name) != pid and not _share_files(pid, int(name)):
            yield process / "task" / name / "fd"


def _share_files(one: int, other: int) -> bool:
    """False also where the kernel does not tell."""
    return KCMP is not None and _libc.syscall(KCMP, one, other, KCMP_FILES, 0, 0) == 0
