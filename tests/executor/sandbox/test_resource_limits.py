"""The limits of a job, and the limit that explains a failure."""

import pytest

from compute_horde.hardware import PROMISES, ExecutorClass
from executor.config import GIB, Config
from executor.sandbox import resource_limits
from executor.sandbox.resource_limits import JobExit, ResourceLimits

TEST = ExecutorClass.always_on__test
GPU = ExecutorClass.always_on__gpu_24gb
CPU = ExecutorClass.always_on__cpu__8c__16gb
GIVEN = ResourceLimits(memory=100, cpus=None, pids=20, disk=300, files=400, tmp=500, shm=60)


def test_a_job_gets_what_its_class_promises_as_far_as_it_is_there():
    config = Config()
    most = int(0.9 * config.total_memory())
    assert resource_limits.for_class(CPU, config).memory == min(16 * GIB, most)
    given = resource_limits.for_class(GPU, config)
    disk = min(64 * GIB, int(0.9 * config.total_disk()))
    assert (given.memory, given.cpus, given.disk) == (most, None, disk)
    assert (given.pids, given.files, given.tmp) == (4096, 500_000, 8 * GIB)


def test_an_operator_may_give_another_number_of_each():
    config = Config(
        memory_bytes=1000,
        cpus=0.5,
        pids=2,
        disk_max_bytes=3,
        disk_max_files=4,
        tmp_bytes=5,
        shm_bytes=6,
    )
    assert resource_limits.for_class(GPU, config) == ResourceLimits(1000, 0.5, 2, 3, 4, 5, 6)


def test_inputs_take_half_of_the_disk_unless_an_operator_says_otherwise():
    assert (
        resource_limits.input_bytes(Config(executor_class=CPU))
        == PROMISES[CPU].disk_gb * 2**30 // 2
    )
    assert resource_limits.input_bytes(Config()) == PROMISES[TEST].disk_gb * 2**30 // 2
    assert resource_limits.input_bytes(Config(disk_max_bytes=10)) == 5
    assert resource_limits.input_bytes(Config(unpacked_max_bytes=10)) == 10


def test_shared_memory_is_part_of_the_memory():
    assert resource_limits.for_class(TEST, Config(memory_bytes=1000)).shm == 1000


def test_an_executor_of_a_known_class_gives_no_job_more():
    config = Config(executor_class=TEST)
    assert resource_limits.for_class(GPU, config) == resource_limits.for_class(TEST, config)


@pytest.mark.parametrize(
    ("code", "printed", "pids", "disk", "out_of_memory", "expected"),
    [
        (137, "", 1, 0, True, "killed; its memory limit was 100 bytes"),
        (137, "", 1, 0, False, "its exit code is that of SIGKILL, but it was not out of memory"),
        (1, "", 1, 0, True, "killed; its memory limit was 100 bytes"),
        (153, "", 1, 0, False, "no file may be larger than 300 bytes"),
        (1, "dd: /output/x: File too large", 1, 0, False, "no file may be larger than 300 bytes"),
        (2, "sh: can't fork", 1, 0, False, "its limit was 20 processes and threads"),
        (1, "RuntimeError: can't start new thread", 1, 0, False, "its limit was 20 processes"),
        (1, "", 20, 0, False, "its limit was 20 processes and threads"),
        (1, "No space left on device", 1, 0, False, "its scratch space was 500 bytes"),
        (1, "", 1, 300, False, "its disk was full at 300 bytes"),
        (1, "bash: fork: retry: Resource temporarily unavailable", 1, 0, False, "its limit was"),
        (1, "no such file in this fork of mine", 19, 299, False, ""),
        (1, "can't fork" + " " * 5000, 1, 0, False, ""),
    ],
)
def test_the_limit_that_ended_a_job_is_named(code, printed, pids, disk, out_of_memory, expected):
    explanation = resource_limits.explain(JobExit(code, printed, pids, disk, out_of_memory), GIVEN)
    assert explanation.startswith(expected)
    assert bool(explanation) == bool(expected)
