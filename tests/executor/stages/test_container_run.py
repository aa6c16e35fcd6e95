"""The ways in which a container's run ends."""

import asyncio

import pytest

from compute_horde.errors import HordeError, JobError
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import FailureReason
from executor.sandbox import disk_monitor, resource_limits
from executor.stages import container_run
from executor.stages.container_run import ContainerRun


class FakeContainer:
    """Prints, then exits with `code`; with None it runs until it is killed."""

    id = "no container at all"

    def __init__(self, code=0, prints=((False, b"out"), (True, b"err")), *, dies=True, processes=1):
        self.code = code
        self.prints = prints
        self.dies = dies
        self.processes = processes
        self.ended = asyncio.Event()
        self.kills = 0

    async def output(self):
        for piece in self.prints:
            yield piece
        if self.code is None:
            await self.ended.wait()

    async def exit_code(self):
        if self.code is None:
            await self.ended.wait()
            return 137
        return self.code

    async def kill(self):
        self.kills += 1
        if self.dies:
            self.ended.set()

    async def was_oom_killed(self):
        return self.code == 9

    async def pids(self):
        return self.processes


@pytest.fixture
def run_of(work, config):
    runs = []

    def made(container, **changes):
        settings = config.model_copy(update={"memory_bytes": 1000} | changes)
        given = resource_limits.for_class(ExecutorClass.always_on__test, settings)
        runs.append(ContainerRun(container, work, settings, limits=given, watch_root=False))
        return runs[-1]

    yield made
    for run in runs:
        run.close()


async def test_a_run_that_ends_well_has_printed_all(run_of):
    container = FakeContainer()
    run = run_of(container)
    await run.finish(5)
    assert (run.stdout.truncated_text(), run.stderr.truncated_text()) == ("out", "err")
    assert container.kills == 0


@pytest.mark.parametrize(
    ("code", "expected"), [(1, "code: 1"), (9, "1000 bytes"), (137, "SIGKILL")]
)
async def test_an_exit_code_fails_the_job_with_what_it_printed(run_of, code, expected):
    with pytest.raises(JobError, match=expected) as failed:
        await run_of(FakeContainer(code)).finish(5)
    error = failed.value
    assert error.reason is FailureReason.NONZERO_RETURN_CODE
    assert (error.exit_status, error.stdout, error.stderr) == (code, "out", "err")


async def test_a_run_over_its_time_is_killed(run_of):
    container = FakeContainer(None)
    with pytest.raises(JobError) as failed:
        await run_of(container).finish(0.05)
    assert container.kills == 1
    assert failed.value.reason is FailureReason.TIMEOUT
    assert (failed.value.exit_status, failed.value.stdout) == (None, "out")


async def test_a_run_that_makes_too_many_files_is_killed(run_of, work, monkeypatch):
    monkeypatch.setattr(disk_monitor, "CHECK_SECONDS", 0.01)
    for number in range(11):
        (work.output / str(number)).touch()
    container = FakeContainer(None)
    with pytest.raises(JobError, match="more than 10 files"):
        await run_of(container, disk_max_files=10).finish(5)
    assert container.kills == 1


async def test_a_run_over_its_time_tells_that_it_had_all_its_processes(run_of, monkeypatch):
    monkeypatch.setattr(disk_monitor, "CHECK_SECONDS", 0.01)
    with pytest.raises(JobError, match="its limit of 7 processes"):
        await run_of(FakeContainer(None, processes=7), pids=7).finish(0.5)


async def test_an_engine_that_does_not_kill_is_to_blame(run_of, monkeypatch):
    monkeypatch.setattr(container_run, "DRAIN_SECONDS", 0.05)
    with pytest.raises(HordeError, match="did not end"):
        await run_of(FakeContainer(None, dies=False)).finish(0.05)


async def test_output_that_never_closes_does_not_hold_the_job(run_of, monkeypatch):
    monkeypatch.setattr(container_run, "DRAIN_SECONDS", 0.05)

    class Held(FakeContainer):
        async def output(self):
            yield False, b"out"
            await asyncio.sleep(60)

    run = run_of(Held())
    await run.finish(5)
    assert run.stdout.truncated_text() == "out"
