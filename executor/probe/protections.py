"""The protections that a probe container tests, with the system calls that test them; pure."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from executor.probe import elf
from executor.probe.elf import Buffer, Call, Previous, ProbeAnswer, call

# A folder of the probe's image that any user could write to if the root were not read-only.
OPEN_FOLDER = "open"
HERE = -100  # AT_FDCWD
READ_ONLY, WRITE_ONLY, PATH_ONLY = 0, 1, 0o10000000
MAY_WRITE = 2
BLOCK_DEVICE = 0o060600
NEW_MOUNTS, NEW_USERS = 0x20000, 0x10000000
# Linux's numbers, whatever system this runs on.
IPV4, IPV6, DATAGRAM = 2, 10, 2
STATUS_BYTES = 4096
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Addresses reserved for documentation; connecting a datagram socket sends nothing.
SOMEBODY = struct.pack("<H", IPV4) + struct.pack(">H", 9) + bytes([192, 0, 2, 1]) + bytes(8)
SOMEBODY_6 = (
    struct.pack("<H", IPV6)
    + struct.pack(">HI", 9, 0)
    + bytes.fromhex("20010db8000000000000000000000001")
    + bytes(4)
)
DEFAULTS = (
    "start the container engine with its default settings (look for changes in its daemon.json, "
    "its service file and its runtimes), then the miner again"
)
PROFILE = (
    "let the container engine use its own seccomp profile: no `unconfined` in its daemon.json, "
    "and an engine that was built with seccomp; then start the miner again"
)


@dataclass(frozen=True, slots=True)
class Protection:
    """A protection, the calls that test it, and what the operator must do if it does not hold."""

    name: str
    calls: tuple[Call, ...]
    holds: Callable[[Sequence[ProbeAnswer]], bool]
    remedy: str = DEFAULTS


def _all_refused(answers: Sequence[ProbeAnswer]) -> bool:
    return all(one.result < 0 for one in answers)


def _last_got_nothing(answers: Sequence[ProbeAnswer]) -> bool:
    return answers[-1].result <= 0


def _refused(name: str, *calls: Call, remedy: str = DEFAULTS) -> Protection:
    return Protection(name, calls, _all_refused, remedy)


def _opened(path: str, how: int) -> Call:
    return call("openat", HERE, path.encode(), how, 0)


def _unreadable(name: str, path: str) -> Protection:
    calls = (_opened(path, READ_ONLY), call("read", Previous(), Buffer(8), 1))
    return Protection(name, calls, _last_got_nothing)


def _unconnected(family: int, address: bytes) -> Protection:
    calls = (
        call("socket", family, DATAGRAM, 0),
        call("connect", Previous(), address, len(address)),
    )
    return Protection("no network but a loopback", calls, lambda answers: answers[-1].result < 0)


def _status(name: str, holds: Callable[[dict[str, str]], bool], remedy: str) -> Protection:
    calls = (
        _opened("/proc/self/status", READ_ONLY),
        call("read", Previous(), Buffer(STATUS_BYTES), STATUS_BYTES),
    )
    return Protection(name, calls, lambda answers: holds(_fields(answers[-1])), remedy)


def _fields(status: ProbeAnswer) -> dict[str, str]:
    lines = (line.partition(":") for line in status.written.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _no_route(answers: Sequence[ProbeAnswer]) -> bool:
    return len(answers[-1].written.splitlines()) <= 1


FIRST = (
    _status(
        "no capabilities",
        lambda status: all(int(status.get(name) or "0", 16) == 0 for name in CAPABILITIES),
        DEFAULTS,
    ),
    _status("no new privileges", lambda status: status.get("NoNewPrivs") == "1", DEFAULTS),
    _status("a filter of system calls", lambda status: status.get("Seccomp") == "2", PROFILE),
    Protection(
        "process numbers of its own", (call("getpid"),), lambda answers: answers[0].result == 1
    ),
    _unconnected(IPV4, SOMEBODY),
    _unconnected(IPV6, SOMEBODY_6),
    Protection(
        "no network but a loopback",
        (_opened("/proc/net/route", READ_ONLY), call("read", Previous(), Buffer(512), 512)),
        _no_route,
    ),
    *(
        _refused("read-only settings of the kernel", _opened(path, WRITE_ONLY))
        for path in (
            "/proc/sys/kernel/core_pattern",
            "/proc/sysrq-trigger",
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "/sys/power/state",
        )
    ),
    *(
        _unreadable("hidden files of the kernel", path)
        for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list")
    ),
    *(
        _refused("no devices of the machine", _opened(f"/dev/{name}", PATH_ONLY))
        for name in ("mem", "kmsg", "port", "kvm", "loop-control", "sda", "vda", "nvme0n1")
    ),
    _refused("no making of devices", call("mknodat", HERE, b"/tmp/probe", BLOCK_DEVICE, 0xFE00)),
    _refused("no mounting", call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)),
    _refused("no system call keyctl", call("keyctl", 0, -3, 1), remedy=PROFILE),
    _refused("no system call bpf", call("bpf", 0, bytes(64), 64), remedy=PROFILE),
    _refused("no system call userfaultfd", call("userfaultfd", 0o2000001), remedy=PROFILE),
)
READ_ONLY_ROOT = _refused(
    "a read-only root", call("faccessat", HERE, f"/{OPEN_FOLDER}".encode(), MAY_WRITE)
)
# If allowed, these change what later calls may do, so they come last.
LAST = (
    _refused("no change of root", call("chroot", b"/tmp")),
    _refused("no namespaces of mounts", call("unshare", NEW_MOUNTS)),
    _refused("no namespaces of users", call("unshare", NEW_USERS), remedy=PROFILE),
)


def expected(*, writable_root: bool) -> tuple[Protection, ...]:
    """All protections that jobs need with these settings."""
    return (*FIRST, *(() if writable_root else (READ_ONLY_ROOT,)), *LAST)


def calls_of(protections: Sequence[Protection]) -> list[Call]:
    """The system calls of the probe, in order."""
    return [one for protection in protections for one in protection.calls]


def missing_protections(protections: Sequence[Protection], printed: bytes) -> dict[str, str]:
    """The protections that do not hold, each with its remedy, from the probe's output.

    Raises `ValueError` for output that is incomplete or lacks the process status.
    """
    answers = elf.answers(calls_of(protections), printed)
    if not any(one.written.startswith(b"Name:") for one in answers):
        raise ValueError("it cannot read its own process status")
    found: dict[str, str] = {}
    at = 0
    for protection in protections:
        own_answers = answers[at : at + len(protection.calls)]
        at += len(protection.calls)
        if not protection.holds(own_answers):
            found[protection.name] = protection.remedy
    return found
