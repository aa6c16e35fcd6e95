"""One supervised process: readiness, restarts and stopping."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from localnet.supervisor import readiness
from localnet.supervisor.supervised_process import (
    NeverReadyError,
    ProcessSpec,
    ProcessState,
    SupervisedProcess,
)

SLEEP = ["sleep", "600"]


@pytest.fixture
def supervise(tmp_path):
    """Makes supervised processes."""

    def make(command, **options):
        process = ProcessSpec("one", command, env=dict(os.environ), **options)
        return SupervisedProcess(process, tmp_path / "one.log", seen.append)

    seen = []
    return make


async def until(condition, within_seconds=30):
    async def ask():
        return condition()

    assert await readiness.wait_until(ask, within_seconds=within_seconds)


async def running(supervised):
    task = asyncio.create_task(supervised.run())
    await asyncio.wait_for(supervised.ready.wait(), 30)
    return task


async def ended(supervised, task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await supervised.stop()


async def test_a_killed_process_is_back_after_a_tenth_of_a_second(supervise):
    supervised = supervise(SLEEP)
    task = await running(supervised)
    first = supervised.pid
    announced = []
    supervised._on_change = lambda _: announced.append(supervised.detail)
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervised.state is ProcessState.READY and supervised.pid != first)
    assert supervised.restarts == 1
    assert announced[0].endswith("again in 0.1 s")
    await ended(supervised, task)
    assert not psutil.pid_exists(first)


async def test_a_process_that_keeps_crashing_is_restarted_ever_later(supervise):
    supervised = supervise(["sh", "-c", "sleep 0.05; exit 3"])
    task = await running(supervised)
    await until(lambda: supervised.restarts >= 4)
    await until(lambda: supervised.state is ProcessState.RESTARTING)
    assert supervised.detail.startswith("exit code 3, again in ")
    assert float(supervised.detail.split()[-2]) >= 0.8
    await ended(supervised, task)


async def test_it_is_ready_when_the_probe_succeeds(supervise):
    answers = iter([False] * 3 + [True] * 100)

    async def ask():
        return next(answers)

    supervised = supervise(SLEEP, probe=ask)
    task = await running(supervised)
    assert next(answers)
    await ended(supervised, task)


async def test_a_process_that_never_gets_ready_is_an_error(supervise):
    async def ask():
        return False

    supervised = supervise(SLEEP, probe=ask, ready_within_seconds=0.2)
    with pytest.raises(NeverReadyError, match="one: not ready within"):
        await supervised.run()
    assert supervised.state is ProcessState.FAILED
    await supervised.stop()


async def test_a_process_that_ends_before_it_was_ready_is_given_up_soon(supervise):
    async def ask():
        return False

    supervised = supervise(["false"], probe=ask)
    with pytest.raises(NeverReadyError, match="exit code 1"):
        await asyncio.wait_for(supervised.run(), 30)


async def test_a_oneshot_is_done_when_it_succeeds(supervise):
    supervised = supervise(["true"], is_oneshot=True)
    await supervised.run()
    assert (supervised.state, supervised.ready.is_set(), supervised.restarts) == (
        ProcessState.DONE,
        True,
        0,
    )


async def test_a_oneshot_that_fails_is_not_restarted(supervise):
    supervised = supervise(["sh", "-c", "exit 4"], is_oneshot=True)
    with pytest.raises(NeverReadyError, match="exit code 4"):
        await supervised.run()
    assert not supervised.ready.is_set()


async def test_on_first_ready_is_called_once_before_the_process_is_ready(supervise):
    calls = []
    supervised = supervise(SLEEP, on_first_ready=lambda: calls.append(supervised.ready.is_set()))
    task = await running(supervised)
    first = supervised.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervised.state is ProcessState.READY and supervised.pid != first)
    assert calls == [False]
    await ended(supervised, task)


async def test_the_stop_signal_is_sent_before_it_is_killed(supervise, tmp_path):
    ready, stopped = tmp_path / "ready", tmp_path / "stopped"
    script = f"trap 'touch {stopped}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    supervised = supervise(["sh", "-c", script])
    task = await running(supervised)
    await until(ready.exists)
    await ended(supervised, task)
    assert stopped.exists()
    assert supervised.state is ProcessState.STOPPED


async def test_one_that_ignores_the_stop_signal_is_killed_with_its_children(supervise, tmp_path):
    note = tmp_path / "child"
    script = f"trap '' TERM; sleep 600 & echo $! > {note}; wait; while :; do sleep 1; done"
    supervised = supervise(["sh", "-c", script], stop_within_seconds=0.3)
    task = await running(supervised)
    await until(lambda: note.exists() and note.read_text().strip())
    child = psutil.Process(int(note.read_text()))
    await ended(supervised, task)
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_its_output_is_in_its_log(supervise):
    supervised = supervise(["sh", "-c", "echo out; echo err >&2"], is_oneshot=True)
    await supervised.run()
    assert supervised.log_file.read_text() == "out\nerr\n"


def test_it_ends_with_its_supervisor(tmp_path):
    supervisor = f"""
import asyncio, os
from pathlib import Path
from localnet.supervisor.supervised_process import ProcessSpec, SupervisedProcess

async def main():
    process = ProcessSpec("one", ["sleep", "600"], env=dict(os.environ))
    supervised = SupervisedProcess(process, Path({str(tmp_path / "log")!r}), lambda _: None)
    task = asyncio.create_task(supervised.run())
    await supervised.ready.wait()
    print(supervised.pid, flush=True)
    await task

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    gone, _ = psutil.wait_procs([child], timeout=30)
    assert gone or child.status() == psutil.STATUS_ZOMBIE
