"""One supervised process: readiness, restarts, the end."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from localnet import probes
from localnet.keeper import Keeper, NeverReadyError, Process, State

SLEEP = ["sleep", "600"]


@pytest.fixture
def keep(tmp_path):
    """Makes keepers whose processes end with the test."""

    def make(command, **options):
        process = Process("one", command, env=dict(os.environ), **options)
        return Keeper(process, tmp_path / "one.log", seen.append)

    seen = []
    return make


async def until(claim, within_seconds=10):
    async def ask():
        return claim()

    assert await probes.until(ask, within_seconds=within_seconds)


async def running(keeper):
    task = asyncio.create_task(keeper.run())
    await asyncio.wait_for(keeper.ready.wait(), 10)
    return task


async def ended(keeper, task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.stop()


async def test_a_killed_process_is_back_within_a_second(keep):
    keeper = keep(SLEEP)
    task = await running(keeper)
    first = keeper.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.state is State.READY and keeper.pid != first, within_seconds=1)
    assert keeper.restarts == 1
    await ended(keeper, task)
    assert not psutil.pid_exists(first)


async def test_a_process_that_keeps_crashing_is_restarted_ever_later(keep):
    keeper = keep(["sh", "-c", "sleep 0.05; exit 3"])
    task = await running(keeper)
    await until(lambda: keeper.restarts >= 4)
    await until(lambda: keeper.state is State.RESTARTING)
    assert keeper.detail.startswith("exit code 3, again in ")
    assert float(keeper.detail.split()[-2]) >= 0.8
    await ended(keeper, task)


async def test_it_is_ready_when_the_probe_says_so(keep):
    answers = iter([False] * 3 + [True] * 100)

    async def ask():
        return next(answers)

    keeper = keep(SLEEP, ready=ask)
    task = await running(keeper)
    assert next(answers)
    await ended(keeper, task)


async def test_what_never_gets_ready_is_said_so(keep):
    async def ask():
        return False

    keeper = keep(SLEEP, ready=ask, ready_within_seconds=0.2)
    with pytest.raises(NeverReadyError, match="one: not ready within"):
        await keeper.run()
    assert keeper.state is State.FAILED
    await keeper.stop()


async def test_what_dies_before_it_was_ready_is_given_up_soon(keep):
    async def ask():
        return False

    keeper = keep(["false"], ready=ask)
    with pytest.raises(NeverReadyError, match="exit code 1"):
        await asyncio.wait_for(keeper.run(), 10)


async def test_a_step_that_runs_once_is_done_when_it_succeeds(keep):
    keeper = keep(["true"], once=True)
    await keeper.run()
    assert (keeper.state, keeper.ready.is_set(), keeper.restarts) == (State.DONE, True, 0)


async def test_a_step_that_fails_is_not_tried_again(keep):
    keeper = keep(["sh", "-c", "exit 4"], once=True)
    with pytest.raises(NeverReadyError, match="exit code 4"):
        await keeper.run()
    assert not keeper.ready.is_set()


async def test_furnishing_happens_once_before_it_counts_as_ready(keep):
    furnished = []
    keeper = keep(SLEEP, furnish=lambda: furnished.append(keeper.ready.is_set()))
    task = await running(keeper)
    first = keeper.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.state is State.READY and keeper.pid != first)
    assert furnished == [False]
    await ended(keeper, task)


async def test_it_is_asked_to_end_before_it_is_killed(keep, tmp_path):
    farewell = tmp_path / "farewell"
    keeper = keep(
        ["sh", "-c", f"trap 'touch {farewell}; exit 0' TERM; while :; do sleep 0.05; done"]
    )
    task = await running(keeper)
    await asyncio.sleep(0.2)
    await ended(keeper, task)
    assert farewell.exists()
    assert keeper.state is State.STOPPED


async def test_one_that_does_not_listen_is_killed_with_its_children(keep, tmp_path):
    note = tmp_path / "child"
    script = f"trap '' TERM; sleep 600 & echo $! > {note}; wait; while :; do sleep 1; done"
    keeper = keep(["sh", "-c", script], stop_within_seconds=0.3)
    task = await running(keeper)
    await until(lambda: note.exists() and note.read_text().strip())
    child = psutil.Process(int(note.read_text()))
    await ended(keeper, task)
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_what_it_says_is_in_its_log(keep):
    keeper = keep(["sh", "-c", "echo out; echo err >&2"], once=True)
    await keeper.run()
    assert keeper.log_file.read_text() == "out\nerr\n"


def test_it_dies_with_its_supervisor(tmp_path):
    supervisor = f"""
import asyncio, os
from pathlib import Path
from localnet.keeper import Keeper, Process

async def main():
    process = Process("one", ["sleep", "600"], env=dict(os.environ))
    keeper = Keeper(process, Path({str(tmp_path / "log")!r}), lambda keeper: None)
    task = asyncio.create_task(keeper.run())
    await keeper.ready.wait()
    print(keeper.pid, flush=True)
    await task

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    gone, _ = psutil.wait_procs([child], timeout=5)
    assert gone or child.status() == psutil.STATUS_ZOMBIE
