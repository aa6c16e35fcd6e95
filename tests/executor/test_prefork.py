"""The prefork server forks executors, reports their exits, and cleans up after them."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from compute_horde.protocol.job import JobFinished, VolumesReady
from executor.prefork import PreforkServer
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, OWNER, ContainerSpec
from tests.eventually import eventually
from tests.executor.conftest import OWNER as TESTS
from tests.peers.executors_miner import TOKEN, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

PATIENCE_SECONDS = 60
OURS = f"{TESTS}-{TOKEN}"


class Server:
    """A running prefork server, with its requests and reports."""

    def __init__(self, process):
        self.process = process

    def send(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")

    async def receive(self):
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)
        return json.loads(line)

    async def ends(self):
        return await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)


@pytest.fixture
def prefork(tmp_path):
    @asynccontextmanager
    async def started(miner):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "executor", "prefork"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "EXECUTOR_MINER_ADDRESS": miner.address,
                "EXECUTOR_WORK_DIR": str(tmp_path / "work"),
                "EXECUTOR_OWNER": OURS,
                "EXECUTOR_LOCAL_IMAGES": "executor-tests/*",
                "EXECUTOR_MEMORY_BYTES": "100000000",
            },
        )
        server = Server(process)
        try:
            yield server
        finally:
            if process.returncode is None:
                process.kill()
                await server.ends()

    return started


@pytest.fixture
def gone(engine, tmp_path):
    async def nothing_left():
        left = list((tmp_path / "work").glob("ch-*"))
        return not left and not await engine.labelled(OWNER, OURS)

    return nothing_left


@pytest.fixture
async def sleeper(prefork, busybox, engine):
    """A prefork server whose one executor runs a container that sleeps."""
    full = payload(busybox, "sleep", "600")

    async def running():
        return bool(await engine.labelled(EXECUTOR, id_of(TOKEN)))

    async with serving(Miner(offer(busybox), after_ready=full)) as miner, prefork(miner) as server:
        server.send(token=TOKEN, executor_class="always_on.test")
        started = await server.receive()
        await miner.receives(VolumesReady)
        await eventually(running, within=PATIENCE_SECONDS)
        yield server, started["pid"]


async def test_a_child_does_its_job_and_its_end_is_told(prefork, busybox, gone):
    full = payload(busybox, "echo", "hi")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner, prefork(miner) as server:
        server.send(token=TOKEN, executor_class="always_on.test")
        started = await server.receive()
        assert started["token"] == TOKEN
        assert (await miner.receives(JobFinished)).docker_process_stdout == "hi\n"
        assert await server.receive() == {"token": TOKEN, "exit": 0}
        await eventually(gone, within=PATIENCE_SECONDS)


async def test_a_killed_executor_leaves_nothing_behind(sleeper, gone):
    server, pid = sleeper
    os.kill(pid, signal.SIGKILL)
    assert await server.receive() == {"token": TOKEN, "exit": -signal.SIGKILL}
    await eventually(gone, within=PATIENCE_SECONDS)


async def test_an_executor_can_be_ended_by_its_token(sleeper, gone):
    server, _ = sleeper
    server.send(token="another", kill=True)
    server.send(token=TOKEN, kill=True)
    assert await server.receive() == {"token": TOKEN, "exit": 4}
    await eventually(gone, within=PATIENCE_SECONDS)


async def test_the_end_of_stdin_ends_everything(sleeper, gone):
    server, _ = sleeper
    server.process.stdin.close()
    assert await server.ends() == 0
    assert await gone()


async def test_sigterm_ends_everything(sleeper, gone):
    server, _ = sleeper
    server.process.terminate()
    assert await server.ends() == 0
    assert await gone()


async def test_a_frozen_executor_is_killed_and_cleaned_up_after(sleeper, gone):
    server, pid = sleeper
    os.kill(pid, signal.SIGSTOP)
    server.process.stdin.close()
    assert await server.ends() == 0
    assert await gone()


async def test_the_children_of_a_killed_server_clean_up_themselves(sleeper, gone):
    server, _ = sleeper
    server.process.kill()
    assert await server.ends() == -signal.SIGKILL
    assert await eventually(gone, within=PATIENCE_SECONDS)


async def test_leftovers_of_the_same_owner_alone_are_removed_at_the_start(
    prefork, busybox, engine, tmp_path, gone
):
    image = await engine.image(busybox)
    for owner, executor in ((OURS, "dead"), (f"{OURS}-other", "stranger")):
        labels = {OWNER: owner, EXECUTOR: f"{executor}-{TOKEN}"}
        order = ContainerSpec(
            f"horde-{executor}-{TOKEN}-job", image.id, ["sleep", "60"], [], "0", labels
        )
        await (await engine.create(order)).start()
    left = tmp_path / "work/ch-crashed"
    left.mkdir(parents=True)
    (left / "owner").write_text(OURS)
    try:
        async with serving(Miner()) as miner, prefork(miner) as server:
            await eventually(gone, within=PATIENCE_SECONDS)
            assert await engine.labelled(OWNER, f"{OURS}-other")
            server.process.stdin.close()
            assert await server.ends() == 0
    finally:
        for owner in (OURS, f"{OURS}-other"):
            await engine.remove(label=OWNER, value=owner)


async def test_several_executors_live_side_by_side(prefork):
    async with serving(Miner()) as miner, prefork(miner) as server:
        for number in range(3):
            server.send(token=f"{TOKEN}{number}", executor_class="no such class")
        started = [await server.receive() for _ in range(3)]
        assert len({one["pid"] for one in started}) == 3
        server.send(token=f"{TOKEN}1", kill=True)
        # The signal may come before the child can listen to it.
        end = await server.receive()
        assert end["token"] == f"{TOKEN}1"
        assert end["exit"] in {4, -signal.SIGTERM}
        server.process.stdin.close()
        assert await server.ends() == 0


def test_an_order_that_cannot_be_read_is_passed_over(config, caplog):
    prefork = PreforkServer(config)
    for line in (b"{", b"[]", b"3", b"{}", b'"x"', b"\xff"):
        prefork.handle(line)
    assert [record.message for record in caplog.records] == [
        "unreadable request on stdin, ignored"
    ] * 6
    assert prefork.children == {}
