"""A hostile job cannot read or change anything of the machine."""

import asyncio
import os
from pathlib import Path

import pytest

from compute_horde.protocol.job import JobFailed, JobFinished
from executor.config import MIB

pytestmark = pytest.mark.docker

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
# Each is tried by the job; it must fail, and say one of the words.
FORBIDDEN = {
    "mount -t tmpfs x /tmp": ("not permitted", "denied"),
    "mount -o remount,rw /": ("not permitted", "denied"),
    "umount /output": ("not permitted", "denied"),
    "unshare -m true": ("not permitted",),
    "unshare -U true": ("not permitted",),
    "unshare -n true": ("not permitted",),
    "nsenter -t 1 -n true": ("not permitted",),
    "chroot /tmp /bin/true": ("not permitted",),
    "pivot_root /tmp /tmp": ("not permitted",),
    "mknod /tmp/disk b 254 0": ("not permitted",),
    "mknod /output/disk b 254 0": ("not permitted",),
    "losetup /dev/loop0 /bin/busybox": ("No such file",),
    "cat /dev/mem": ("No such file",),
    "cat /dev/kmsg": ("No such file", "denied"),
    "dmesg": ("not permitted",),
    "echo h >/proc/sysrq-trigger": ("Read-only", "denied", "nonexistent"),
    "echo '|/x' >/proc/sys/kernel/core_pattern": ("Read-only", "denied"),
    "echo 1 >/proc/sys/vm/drop_caches": ("Read-only", "denied"),
    "echo x >/sys/kernel/uevent_helper": ("Read-only", "denied", "nonexistent"),
    "mkdir /sys/fs/cgroup/pids/x /sys/fs/cgroup/x": ("Read-only", "denied", "No such file"),
    "echo -900 >/proc/self/oom_score_adj": ("denied", "not permitted"),
    "touch /x": ("Read-only",),
    "touch /bin/x": ("Read-only",),
    "touch /sys/x /proc/x": ("Read-only", "denied", "No such file"),
    "arping -c 1 -I lo 127.0.0.1": ("not permitted",),
    "nc -w 3 169.254.169.254 80": ("unreachable",),
    "nc -w 3 192.0.2.1 80": ("unreachable",),
    "ping -c 1 -W 1 192.0.2.1": ("unreachable", "permission denied"),
    "ip link add dummy0 type dummy": ("not permitted",),
    "ifconfig lo down": ("not permitted",),
    "hostname other": ("not permitted",),
    "insmod /bin/busybox": ("not permitted",),
    "swapoff /bin/busybox": ("not permitted",),
    "reboot -f": ("not permitted",),
    "renice -n -10 1": ("denied", "not permitted"),
    "ls /var/run/docker.sock /run/docker.sock": ("No such file",),
}
DEVICES = "core|fd|full|mqueue|null|ptmx|pts|random|shm|std(in|out|err)|tty|urandom|zero"
# Each tells something that must be as said here.
EXPECTED = {
    "ls /sys/class/net": "lo",
    "cat /proc/net/route | wc -l": "1",
    "find / -xdev -name '*.sock'": "",
    f"ls /dev | grep -vxE '{DEVICES}'": "",
    "ls /sys/firmware": "",
    "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | head -c 9 | wc -c": "0",
    # Each of them is called `exe` for a moment: busybox starts itself again.
    "cat /proc/[0-9]*/comm | grep -vxE 'cat|exe|grep|sh'": "",
    "grep -c . /proc/self/status >/dev/null; grep ^Seccomp: /proc/self/status": "Seccomp: 2",
    "grep ^NoNewPrivs /proc/self/status": "NoNewPrivs: 1",
    "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | sort -uk2 | cut -f2": "0" * 16,
    "cat /proc/self/oom_score_adj": "1000",
    "ulimit -c": "0",
    "ulimit -f": str((16 * 2**30 + 2**20) // 512),
    "ls /volume /specs": "/specs: /volume:",
    "ls -A /tmp": "",
}


def script() -> str:
    lines = ["mkdir -p /tmp/said 2>/dev/null; cd /"]
    for number, line in enumerate(FORBIDDEN):
        lines.append(f"echo '### {number}'; ( {line} ) 2>&1 </dev/null && echo '!!! it did'")
    for number, line in enumerate(EXPECTED):
        lines.append(f"echo '### t{number}'; ( {line} ) 2>&1 </dev/null")
    return "\n".join(lines[1:]) + "\ntrue"


def answers(printed: str) -> dict[str, str]:
    parts = (part.partition("\n") for part in printed.split("### ")[1:])
    return {name: text for name, _, text in parts}


@pytest.mark.parametrize("user", ["nobody", "as_root"])
async def test_whatever_is_tried_is_refused(cell, request, user):
    trial = await cell.endures(request.getfixturevalue(user), script())
    assert trial.kind is JobFinished
    found = answers(trial.printed)
    let_through = {
        line: found[str(number)]
        for number, (line, words) in enumerate(FORBIDDEN.items())
        if "!!!" in found[str(number)] or not any(word in found[str(number)] for word in words)
    }
    assert let_through == {}
    texts = {line: " ".join(found[f"t{number}"].split()) for number, line in enumerate(EXPECTED)}
    assert texts == EXPECTED


async def test_no_namespace_is_the_machine_s(cell, nobody):
    line = "; ".join(f"readlink /proc/self/ns/{name}" for name in NAMESPACES)
    printed = (await cell.endures(nobody, line)).printed.split()
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]
    assert len(printed) == len(ours)
    assert not set(printed) & set(ours)


async def test_the_machine_s_own_loopback_is_not_the_job_s(cell, nobody):
    met = []
    server = await asyncio.start_server(lambda *who: met.append(who), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trial = await cell.endures(nobody, f"nc -w 2 127.0.0.1 {port} 2>&1; true")
    assert "refused" in trial.printed
    assert met == []


async def test_a_setuid_program_elevates_nobody(cell, nobody):
    trial = await cell.endures(nobody, "ls -l /bin/busybox-elevated; /bin/busybox-elevated id -u")
    assert trial.printed.startswith("-rws")
    assert trial.printed.split()[-1] == "65534"


async def test_the_limits_hold_where_the_kernel_keeps_them(cell, nobody):
    """Limits under the file names of both versions of control groups."""
    line = "cd /sys/fs/cgroup; cat {}/memory.limit_in_bytes {}/memory.max 2>/dev/null; ".format(
        "memory", "."
    )
    line += "cat pids/pids.max pids.max 2>/dev/null; "
    line += "cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null | cut -d' ' -f1"
    limits = {"memory_bytes": 64 * MIB, "pids": 77, "cpus": 0.5}
    trial = await cell.endures(nobody, line, settings=limits)
    assert trial.printed.split() == [str(64 * MIB), "77", "50000"]


async def test_links_of_a_job_lead_nowhere_on_the_machine(cell, nobody, tmp_path):
    """A job writes through symbolic links that it made, and into mounts over them."""
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    line = f"ln -s {canary} /output/x; ln -s {tmp_path} /output/y; echo bad >/output/x"
    trial = await cell.endures(nobody, f"{line}; echo bad >/output/y/canary; ls {tmp_path}")
    assert trial.kind is JobFailed
    assert trial.answer.docker_process_stderr.count("No such file") == 1
    assert canary.read_text() == "untouched"
    assert Path("/proc/sys/kernel/core_pattern").read_text() != "|/x\n"
