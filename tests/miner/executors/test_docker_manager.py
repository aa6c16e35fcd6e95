"""The `docker` manager with real executors, which run this machine's Python."""

import asyncio
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from uuid import uuid4

import pytest

from compute_horde.container_names import executor_container
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobFinished, VolumesReady
from miner.config import config
from miner.executors.docker_engine import EXECUTOR, OWNER, DockerEngine
from miner.executors.docker_manager import DockerManager
from miner.executors.manager import ManagerSettings, executor_id
from tests.executor.conftest import busybox  # noqa: F401
from tests.peers.executors_miner import Miner, offer, payload, serving

pytestmark = pytest.mark.docker

CLASS = ExecutorClass.always_on__test
IMAGE = "miner-tests/empty:1"
ROOT = Path(__file__).resolve().parents[3]
# The directories of Python and its packages on this machine.
PARTS = {"/usr", "/lib", "/lib64", "/bin", sys.prefix, sys.base_prefix, str(ROOT)}


class HostPython(DockerManager):
    """Runs executors in an empty image, with this machine's Python mounted."""

    def _container(self, slot, role, variables):
        options = super()._container(slot, role, variables)
        parts = [f"{part}:{part}:ro" for part in PARTS if Path(part).exists()]
        options["HostConfig"]["Binds"] += parts
        options["Entrypoint"] = [sys.executable, "-m", "executor"]
        options["WorkingDir"] = str(ROOT)
        return options


@pytest.fixture(scope="session")
def empty() -> str:
    """An image with nothing in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        root.addfile(folder)
    command = ["docker", "import", "-", IMAGE]
    subprocess.run(command, input=packed.getvalue(), check=True, capture_output=True)
    return IMAGE


@pytest.fixture
async def started(empty, tmp_path, monkeypatch):
    """Starts an executor for a miner; yields its token, settings and a queue of ended executors."""
    managers = []
    monkeypatch.setenv("EXECUTOR_LOCAL_IMAGES", "executor-tests/*")

    async def start(miner):
        ended, token = asyncio.Queue(), uuid4().hex
        setting = ManagerSettings(
            miner.address,
            f"miner-tests-{uuid4().hex[:8]}",
            {CLASS: 1},
            work_dir=tmp_path / "work",
            docker_socket=config.docker_socket,
            executor_image=empty,
        )
        managers.append(HostPython(setting, lambda *how: ended.put_nowait(how)))
        await managers[-1].open()
        await managers[-1].start(token, CLASS)
        return token, setting, ended

    yield start
    for manager in managers:
        await manager.close()


def left(setting):
    """The directories of jobs that still exist."""
    return list(setting.work_dir.glob("ch-*"))


async def all_gone(setting):
    """Wait until no container and no directory of this miner is left."""
    engine = DockerEngine(setting.docker_socket)
    async with asyncio.timeout(30):
        while left(setting) or await engine.containers({OWNER: setting.owner}):
            await asyncio.sleep(0.1)


async def test_an_executor_in_a_container_does_one_job_and_leaves_nothing(started, busybox):  # noqa: F811
    full = payload(busybox, "sh", "-c", "echo hi; mkdir /output/mine; echo x > /output/mine/x")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner:
        token, setting, ended = await started(miner)
        assert (await miner.receives(JobFinished)).docker_process_stdout == "hi\n"
        assert await asyncio.wait_for(ended.get(), 30) == (token, "exit code 0")
    await all_gone(setting)


async def test_what_a_killed_executor_leaves_is_removed(started, busybox):  # noqa: F811
    full = payload(busybox, "sleep", "60")
    async with serving(Miner(offer(busybox), after_ready=full)) as miner:
        token, setting, ended = await started(miner)
        await miner.receives(VolumesReady)
        engine, mine = DockerEngine(setting.docker_socket), {EXECUTOR: executor_id(token)}
        async with asyncio.timeout(30):
            while len(await engine.containers(mine)) < 2:
                await asyncio.sleep(0.1)
        assert len(left(setting)) == 1
        subprocess.run(["docker", "kill", executor_container(executor_id(token))], check=True)
        assert await asyncio.wait_for(ended.get(), 30) == (token, "exit code 137")
    await all_gone(setting)


async def test_an_executor_that_is_stopped_cleans_up_by_itself(started, busybox):  # noqa: F811
    async with serving(Miner(offer(busybox))) as miner:
        token, setting, ended = await started(miner)
        await asyncio.wait_for(miner.connected.wait(), 30)
        subprocess.run(["docker", "stop", executor_container(executor_id(token))], check=True)
        assert await asyncio.wait_for(ended.get(), 30) == (token, "exit code 4")
        assert [path for path in left(setting) if path.name == f"ch-{executor_id(token)}"] == []
    await all_gone(setting)
