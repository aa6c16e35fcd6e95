"""Two executors on one machine do not affect each other."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute_horde.protocol.job import ExecutionDone, HordeFailed, JobFinished, VolumesReady
from executor import cleanup
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, ContainerSpec
from tests.eventually import eventually
from tests.peers.executors_miner import TIMING, Miner, offer, payload, serving

pytestmark = pytest.mark.docker

LONG = TIMING.model_copy(update={"execution_time_limit": 60})
# Until the test says so.
STEADY = "echo kept >/output/x; until [ -e /volume/go ]; do sleep 0.1; done; cat /output/x"


@dataclass(frozen=True, slots=True)
class Executor:
    """A real executor process with a job."""

    process: asyncio.subprocess.Process
    miner: Miner
    id: str
    work: Path

    async def containers(self, engine):
        return list(await engine.labelled(EXECUTOR, self.id))

    async def runs(self, engine):
        """The ids of its job's containers."""
        await self.miner.receives(VolumesReady)
        async with asyncio.timeout(20):
            while True:
                found = await self.containers(engine)
                # Another one, in which the image was looked at, is never started.
                if found and await engine.container(found[0]).is_running():
                    return found
                await asyncio.sleep(0.05)

    async def goes_on_to_its_end(self):
        """Its job still has its files and finishes."""
        (self.work / f"ch-{self.id}" / "volume" / "go").touch()
        finished = await self.miner.receives(JobFinished)
        assert finished.docker_process_stdout == "kept\n"


@pytest.fixture
def start(tmp_path, nobody):
    """Starts executors of one owner in one work directory, as a miner does."""

    @asynccontextmanager
    async def started(line, owner="neighbours"):
        token = secrets.token_hex(8)
        full = payload(nobody, "sh", "-c", line)
        async with serving(Miner(offer(nobody, executor_timing=LONG), after_ready=full)) as miner:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "executor"),
                env=environment(tmp_path, owner)
                | {"EXECUTOR_TOKEN": token, "EXECUTOR_MINER_ADDRESS": miner.address},
            )
            yield Executor(process, miner, id_of(token), tmp_path / "work")
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 20)

    return started


def environment(tmp_path, owner):
    return os.environ | {
        "EXECUTOR_LOCAL_IMAGES": "executor-tests/*",
        "EXECUTOR_WORK_DIR": str(tmp_path / "work"),
        "EXECUTOR_OWNER": owner,
        "EXECUTOR_MEMORY_BYTES": str(64 * 2**20),
    }


async def swept(tmp_path, owner):
    sweeping = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "executor", "sweep"), env=environment(tmp_path, owner)
    )
    return await asyncio.wait_for(sweeping.wait(), 20)


async def test_one_is_killed_and_swept_while_the_other_goes_on(engine, start, tmp_path):
    work = tmp_path / "work"
    async with start("sleep 60") as dying, start(STEADY) as steady:
        [left], [kept] = await dying.runs(engine), await steady.runs(engine)
        dying.process.send_signal(signal.SIGKILL)
        await dying.process.wait()
        # The sweeper of another owner has no business here.
        assert await swept(tmp_path, "somebody else") == cleanup.DONE
        assert await dying.containers(engine) == [left]
        assert await swept(tmp_path, "neighbours") == cleanup.DONE
        assert await dying.containers(engine) == []
        assert await steady.containers(engine) == [kept]
        assert [path.name for path in work.glob("ch-*")] == [f"ch-{steady.id}"]
        await steady.goes_on_to_its_end()
    assert not list(work.glob("ch-*"))


async def test_one_ends_and_one_is_stopped_while_another_goes_on(engine, start):
    async with start("true") as brief, start("sleep 60") as stopped, start(STEADY) as steady:
        await asyncio.gather(stopped.runs(engine), steady.runs(engine))
        await brief.miner.receives(ExecutionDone)
        stopped.process.terminate()
        assert isinstance(await stopped.miner.receives(HordeFailed), HordeFailed)
        assert await asyncio.wait_for(stopped.process.wait(), 20) != 0
        assert await stopped.containers(engine) == []
        await steady.goes_on_to_its_end()


async def test_a_container_that_somebody_removes_is_the_network_s_fault(engine, start):
    async with start("sleep 60") as robbed, start(STEADY) as steady:
        [container], _ = await asyncio.gather(robbed.runs(engine), steady.runs(engine))
        await engine.container(container).remove()
        message = await robbed.miner.receives(HordeFailed)
        assert "container engine" in message.message
        assert await asyncio.wait_for(robbed.process.wait(), 20) == 0
        await steady.goes_on_to_its_end()


async def test_containers_that_vanish_while_they_are_swept_fail_nobody(engine, config, nobody):
    owner = f"vanishing-{secrets.token_hex(4)}"
    image = await engine.image(nobody)
    dead = [secrets.token_hex(8) for _ in range(6)]
    labels = {"compute_horde.owner": owner}
    for one in dead:
        order = ContainerSpec(
            f"horde-{one}-job", image.id, ["true"], [], "0", labels | {EXECUTOR: one}
        )
        await engine.create(order)
    ours = config.model_copy(update={"owner": owner})
    removing = ["docker", "rm", "-f", *(f"horde-{one}-job" for one in dead)]
    codes = await asyncio.gather(
        cleanup.clean_up(ours, [], everything=True),
        cleanup.clean_up(ours, [], everything=True),
        asyncio.to_thread(subprocess.run, removing, check=False, capture_output=True),
        cleanup.clean_up(ours, dead),
    )
    assert [codes[0], codes[1], codes[3]] == [cleanup.DONE] * 3

    async def are_removed() -> bool:
        return not (await engine.labelled("compute_horde.owner", owner))

    await eventually(are_removed)


async def test_a_container_that_is_gone_has_nothing_to_tell(engine, nobody):
    mine = secrets.token_hex(8)
    image = await engine.image(nobody)
    gone = await engine.create(
        ContainerSpec(f"horde-{mine}", image.id, ["true"], [], "0", {EXECUTOR: mine})
    )
    assert str(await gone.root_folder()).endswith("/diff")
    await gone.remove()
    assert (await gone.written_bytes(), await gone.pids(), await gone.root_folder()) == (0, 0, None)
