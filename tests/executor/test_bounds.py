"""The confinement and resource limits of jobs, tested inside real containers."""

import pytest

from compute_horde.protocol.job import JobFailed
from compute_horde.vocabulary import FailureReason, Stage
from tests.peers.executors_miner import TIMING, offer, payload

pytestmark = pytest.mark.docker


async def test_a_job_is_confined(runs):
    probes = [
        "id -u",
        "cat /proc/self/status",
        "touch /x 2>&1",
        "echo ok >/tmp/x && cat /tmp/x",
        "ls /sys/class/net",
        "mkdir /tmp/m && busybox mount -t tmpfs x /tmp/m 2>&1",
        "cat /proc/mounts",
    ]
    printed = (await runs("; ".join(probes) + "; true")).docker_process_stdout
    assert printed.startswith("65534\n")
    assert "CapEff:\t0000000000000000" in printed
    assert "NoNewPrivs:\t1" in printed
    assert "Seccomp:\t2" in printed
    assert "Read-only file system" in printed
    assert "\nok\nlo\n" in printed
    assert "can't find" in printed or "not permitted" in printed or "denied" in printed
    assert "docker.sock" not in printed


async def test_an_image_may_ask_for_a_writable_root_and_its_own_user(does, rooted):
    command = ("sh", "-c", "id -u; touch /x /data/y && echo ok")
    miner = await does(offer(rooted), payload(rooted, *command))
    assert miner.last.docker_process_stdout == "0\nok\n"


async def test_a_volume_of_the_image_is_memory(does, with_volume):
    command = ("sh", "-c", "df -T /data; touch /data/x && echo ok")
    miner = await does(offer(with_volume), payload(with_volume, *command))
    printed = miner.last.docker_process_stdout
    assert "tmpfs" in printed
    assert printed.endswith("ok\n")


async def test_too_much_memory_is_named(runs):
    failed = await runs("head -c 300000000 /dev/zero >/tmp/x", settings={"memory_bytes": 2**25})
    assert failed.reason is FailureReason.NONZERO_RETURN_CODE
    assert "memory limit was 33554432 bytes" in failed.message


@pytest.mark.parametrize("line", ["exit 137", "sh -c 'kill -9 $$'; exit $?"])
async def test_code_137_alone_is_not_called_a_want_of_memory(runs, line):
    failed = await runs(line)
    assert "memory limit" not in failed.message
    assert "137" in failed.message


async def test_a_fork_bomb_harms_only_itself(runs):
    line = "for i in $(seq 100); do sleep 1 & done; wait"
    failed = await runs(line, settings={"pids": 20})
    assert failed.reason is FailureReason.NONZERO_RETURN_CODE
    assert "fork" in failed.docker_process_stderr


@pytest.mark.parametrize(
    ("path", "expected"), [("/proc/x", "taken"), ("../x", "absolute"), ("/bin/sh/x", "started")]
)
async def test_an_artifacts_dir_that_cannot_be_is_the_job_s_fault(runs, path, expected):
    failed = await runs("true", artifacts_dir=path)
    assert isinstance(failed, JobFailed)
    assert expected in failed.message


async def test_artifacts_that_are_left_out_are_named(runs):
    line = "ln -s /etc/passwd /a/link; head -c 1000000 /dev/zero >/a/big; echo hi >/a/ok"
    finished = await runs(line, artifacts_dir="/a")
    assert list(finished.artifacts) == ["/a/ok"]
    assert "/a/big (1,000,000 bytes)" in finished.docker_process_stderr
    assert "/a/link: it is a link or a device" in finished.docker_process_stderr


async def test_endless_output_fills_neither_disk_nor_memory(runs, work):
    timing = TIMING.model_copy(update={"execution_time_limit": 2})
    failed = await runs(
        "yes",
        offered=offer("executor-tests/busybox:latest", executor_timing=timing),
        settings={"log_max_bytes": 2**20},
    )
    assert (failed.reason, failed.stage) == (FailureReason.TIMEOUT, Stage.EXECUTION)
    assert len(failed.docker_process_stdout) == 1_000_005


async def test_a_job_that_fills_the_disk_is_stopped(runs):
    line = "head -c 50000000 /dev/zero >/output/x; sleep 60"
    failed = await runs(line, settings={"disk_max_bytes": 10**7})
    assert failed.reason is FailureReason.UNKNOWN
    assert "more than 10000000 bytes of disk" in failed.message


async def test_a_job_that_fills_its_root_is_stopped(does, rooted):
    command = ("sh", "-c", "head -c 50000000 /dev/zero >/x; sleep 60")
    miner = await does(offer(rooted), payload(rooted, *command), disk_max_bytes=10**7)
    assert "bytes of disk" in miner.last.message
