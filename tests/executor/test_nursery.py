"""A nursery forks executors, reports their ends, and cleans up after all of them."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from compute_horde.protocol.job import JobFinished, VolumesReady
from executor.containers import EXECUTOR, OWNER, Order
from executor.nursery import Nursery
from executor.process import id_of
from tests.executor.conftest import OWNER as TESTS
from tests.executor.peer import TOKEN, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

PATIENCE_SECONDS = 20
OURS = f"{TESTS}-{TOKEN}"


class Ward:
    """A nursery process, what it is told and what it tells."""

    def __init__(self, process):
        self.process = process

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order).encode() + b"\n")

    async def hears(self):
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)
        return json.loads(line)

    async def ends(self):
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


@pytest.fixture
def nursery(tmp_path):
    @asynccontextmanager
    async def started(miner):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "executor", "nursery"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "EXECUTOR_MINER_ADDRESS": miner.address,
                "EXECUTOR_WORK_DIR": str(tmp_path / "work"),
                "EXECUTOR_OWNER": OURS,
                "EXECUTOR_MEMORY_BYTES": "100000000",
            },
        )
        ward = Ward(process)
        try:
            yield ward
        finally:
            if process.returncode is None:
                process.kill()
                await ward.ends()

    return started


async def until(found):
    """Wait until the outside world is as expected."""
    for _ in range(PATIENCE_SECONDS * 50):
        if await found():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{found.__name__} did not come true")


@pytest.fixture
def gone(engine, tmp_path):
    async def nothing_left():
        left = list((tmp_path / "work").glob("ch-*"))
        return not left and not await engine.labelled(OWNER, OURS)

    return nothing_left


@pytest.fixture
async def sleeper(nursery, busybox, engine):
    """A nursery whose one executor runs a container that would sleep for a minute."""
    full = payload(busybox, "sleep", "60")

    async def running():
        return bool(await engine.labelled(EXECUTOR, id_of(TOKEN)))

    async with serving(Miner(offer(busybox), after_ready=full)) as miner, nursery(miner) as ward:
        ward.tell(token=TOKEN, executor_class="always_on.test")
        born = await ward.hears()
        await miner.hears(VolumesReady)
        await until(running)
        yield ward, born["pid"]


async def test_a_child_does_its_job_and_its_end_is_told(nursery, busybox, gone):
    full = payload(busybox, "echo", "hi")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner, nursery(miner) as ward:
        ward.tell(token=TOKEN, executor_class="always_on.test")
        born = await ward.hears()
        assert born["token"] == TOKEN
        assert (await miner.hears(JobFinished)).docker_process_stdout == "hi\n"
        assert await ward.hears() == {"token": TOKEN, "exit": 0}
        await until(gone)


async def test_a_killed_executor_leaves_nothing_behind(sleeper, gone):
    ward, pid = sleeper
    os.kill(pid, signal.SIGKILL)
    assert await ward.hears() == {"token": TOKEN, "exit": -signal.SIGKILL}
    await until(gone)


async def test_an_executor_can_be_ended_by_its_token(sleeper, gone):
    ward, _ = sleeper
    ward.tell(token="another", kill=True)
    ward.tell(token=TOKEN, kill=True)
    assert await ward.hears() == {"token": TOKEN, "exit": 4}
    await until(gone)


async def test_the_end_of_stdin_ends_everything(sleeper, gone):
    ward, _ = sleeper
    ward.process.stdin.close()
    assert await ward.ends() == 0
    assert await gone()


async def test_sigterm_ends_everything(sleeper, gone):
    ward, _ = sleeper
    ward.process.terminate()
    assert await ward.ends() == 0
    assert await gone()


async def test_a_frozen_executor_is_killed_and_cleaned_up_after(sleeper, gone):
    ward, pid = sleeper
    os.kill(pid, signal.SIGSTOP)
    ward.process.stdin.close()
    assert await ward.ends() == 0
    assert await gone()


async def test_the_children_of_a_killed_nursery_clean_up_themselves(sleeper, gone):
    ward, _ = sleeper
    ward.process.kill()
    await ward.ends()
    await until(gone)


async def test_leftovers_of_the_same_owner_alone_are_removed_at_the_start(
    nursery, busybox, engine, tmp_path, gone
):
    image = await engine.image(busybox)
    for owner, executor in ((OURS, "dead"), (f"{OURS}-other", "stranger")):
        labels = {OWNER: owner, EXECUTOR: f"{executor}-{TOKEN}"}
        order = Order(f"ch-{executor}-{TOKEN}-job", image.id, ["sleep", "60"], [], "0", labels)
        await (await engine.create(order)).start()
    left = tmp_path / "work/ch-crashed"
    left.mkdir(parents=True)
    (left / "owner").write_text(OURS)
    try:
        async with serving(Miner()) as miner, nursery(miner) as ward:
            await until(gone)
            assert await engine.labelled(OWNER, f"{OURS}-other")
            ward.process.stdin.close()
            assert await ward.ends() == 0
    finally:
        for owner in (OURS, f"{OURS}-other"):
            await engine.remove(label=OWNER, value=owner)


async def test_several_executors_live_side_by_side(nursery):
    async with serving(Miner()) as miner, nursery(miner) as ward:
        for number in range(3):
            ward.tell(token=f"{TOKEN}{number}", executor_class="no such class")
        born = [await ward.hears() for _ in range(3)]
        assert len({one["pid"] for one in born}) == 3
        ward.tell(token=f"{TOKEN}1", kill=True)
        # The signal may come before the child can listen to it.
        end = await ward.hears()
        assert end["token"] == f"{TOKEN}1"
        assert end["exit"] in {4, -signal.SIGTERM}
        ward.process.stdin.close()
        assert await ward.ends() == 0


def test_an_order_that_cannot_be_read_is_passed_over(config, caplog):
    nursery = Nursery(config)
    for line in (b"{", b"[]", b"3", b"{}", b'"x"', b"\xff"):
        nursery.obey(line)
    assert [record.message for record in caplog.records] == ["unreadable order"] * 6
    assert nursery.children == {}
