"""The daemon reports what is ready, and keeps it running until a signal."""

import asyncio
import os
import signal

import pytest

from localnet.network_dir import NetworkDir
from localnet.supervisor import daemon, state_file
from localnet.supervisor.supervised_process import ProcessSpec


def process(name, script, **options):
    return ProcessSpec(name, ["sh", "-c", script], env=dict(os.environ), **options)


@pytest.fixture
def network_dir(tmp_path):
    return NetworkDir.at(tmp_path)


class Report:
    """The report of a daemon, read from its pipe as the command that starts it does."""

    def __init__(self):
        reading, writing = os.pipe()
        self.lines, self.end = os.fdopen(reading), os.fdopen(writing, "w")

    async def rest(self):
        return await asyncio.to_thread(self.lines.read)

    async def line(self):
        return await asyncio.to_thread(self.lines.readline)


@pytest.fixture
def report():
    report = Report()
    yield report
    report.lines.close()
    report.end.close()


def signalled(task, number):
    os.kill(os.getpid(), number)
    return asyncio.wait_for(task, 60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_ready_is_reported_and_stopped_by_a_signal(network_dir, report, number):
    processes = [process("one", "exit 0", is_oneshot=True), process("two", "exec sleep 600")]
    task = asyncio.create_task(daemon.supervise(network_dir, processes, report.end))
    # The report is closed once all is ready, while the processes go on.
    lines = (await report.rest()).splitlines()
    assert sorted(lines[:-1]) == ["one done", "two ready"]
    assert lines[-1] == daemon.UP
    assert not task.done()
    two = next(one for one in state_file.read(network_dir) if one.name == "two")
    os.kill(two.pid, 0)
    await signalled(task, number)
    with pytest.raises(ProcessLookupError):
        os.kill(two.pid, 0)
    states = {one.name: one.state for one in state_file.read(network_dir)}
    assert states == {"one": "done", "two": "stopped"}


async def test_a_process_that_cannot_start_is_reported_and_all_is_stopped(network_dir, report):
    processes = [process("good", "exec sleep 600"), process("bad", "exit 7", is_oneshot=True)]
    await asyncio.wait_for(daemon.supervise(network_dir, processes, report.end), 60)
    report.end.close()
    *_, last = (await report.rest()).splitlines()
    assert last.startswith(f"{daemon.BROKEN} bad ")
    assert "ended with exit code 7" in last
    states = {one.name: one.state for one in state_file.read(network_dir)}
    assert states["good"] == "stopped"


async def test_a_signal_ends_a_start_that_is_not_finished(network_dir, report):
    processes = [
        process("first", "exit 0", is_oneshot=True),
        process("slow", "exec sleep 600", depends_on=("first",), is_oneshot=True),
    ]
    task = asyncio.create_task(daemon.supervise(network_dir, processes, report.end))
    assert await report.line() == "first done\n"
    await signalled(task, signal.SIGTERM)
    report.end.close()
    assert daemon.UP not in await report.rest()


async def test_processes_outlive_the_reader_of_the_report(network_dir, report):
    report.lines.close()
    processes = [process("one", "exec sleep 600")]
    task = asyncio.create_task(daemon.supervise(network_dir, processes, report.end))
    async with asyncio.timeout(60):
        while not report.end.closed:
            await asyncio.sleep(0.01)
    (one,) = state_file.read(network_dir)
    os.kill(one.pid, 0)
    await signalled(task, signal.SIGTERM)


def test_a_claim_names_this_process(network_dir):
    assert state_file.supervisor(network_dir) is None
    with state_file.lock(network_dir):
        daemon.claim(network_dir)
        assert state_file.supervisor(network_dir).pid == os.getpid()
    assert state_file.supervisor(network_dir) is None
