"""Measures disk space of deleted files that a job still holds open or mapped."""

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
# Mappings read in one check, of all processes; a job could have endlessly many.
MOST_MAPPINGS = 2**20
BLOCK = 512

_libc = ctypes.CDLL(None, use_errno=True)


def processes(container_id: str, proc: Path = PROC) -> list[int]:
    """The pids of the container's processes that are visible to the executor.

    They are found by their control group, which no process of a job can leave.
    """
    return [
        int(name)
        for name in os.listdir(proc)
        if name.isdigit() and container_id in _text(proc / name / "cgroup")
    ]


def _text(path: Path) -> str:
    """The text of a file; empty when the process is gone or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@dataclass(slots=True)
class HeldFiles:
    """Deleted files held by processes.

    `files` is bytes by device and inode, `looked` and `mappings` count the open files and mappings
    read, `hidden` is set when some could not be read or were too many.
    """

    files: dict[tuple[int, int], int] = field(default_factory=dict)
    looked: int = 0
    mappings: int = 0
    hidden: bool = False

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def held_files(pids: list[int], on: int, *, most: int, proc: Path = PROC) -> HeldFiles | None:
    """The deleted files on device `on` or on a process's root device.

    None when there are more than `most` open files.
    """
    found = HeldFiles()
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
            # The process ended meanwhile.
            continue
    return found


def _count(link: str, devices: set[int], found: HeldFiles) -> None:
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


def _links(process: Path, pid: int, found: HeldFiles) -> Iterator[str]:
    for folder in _tables(process, pid):
        with os.scandir(folder) as listing:
            yield from (entry.path for entry in listing)
    with suppress(OSError), (process / "maps").open(errors="replace") as maps:
        # Line by line: a job can make this text very long with long names.
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
    """The file tables of a process, and of each thread with a table of its own."""
    yield process / "fd"
    for name in os.listdir(process / "task"):
        if int(name) != pid and not _share_files(pid, int(name)):
            yield process / "task" / name / "fd"


def _share_files(one: int, other: int) -> bool:
    """Whether two threads share their open files; False if the kernel cannot tell."""
    return KCMP is not None and _libc.syscall(KCMP, one, other, KCMP_FILES, 0, 0) == 0
