"""The door to the engine, with a real engine behind it."""

import asyncio
import io
import subprocess
import tarfile
from pathlib import Path
from uuid import uuid4

import pytest

from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from miner.config import config
from miner.executors.containers import DockerManager
from miner.executors.docker import EXECUTOR, OWNER, Engine
from miner.executors.manager import Setting, executor_id

pytestmark = pytest.mark.docker

BUSYBOX = Path("/bin/busybox")
IMAGE = "miner-tests/sleeper:1"
CLASS = ExecutorClass.always_on__test


@pytest.fixture(scope="session")
def image() -> str:
    """An image that sleeps, whatever it is told."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        root.add(BUSYBOX, "bin/sleep")
    changes = ["-c", 'ENTRYPOINT ["/bin/sleep", "600"]']
    subprocess.run(
        ["docker", "import", *changes, "-", IMAGE],
        input=packed.getvalue(),
        check=True,
        capture_output=True,
    )
    return IMAGE


@pytest.fixture
def owner():
    name = f"miner-tests-{uuid4().hex[:8]}"
    yield name
    leftovers = ["docker", "ps", "-aq", "--filter", f"label={OWNER}={name}"]
    found = subprocess.run(leftovers, capture_output=True, text=True, check=True).stdout.split()
    for container in found:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)


@pytest.fixture
def engine():
    return Engine(config.docker_socket)


async def test_only_containers_with_the_label_are_removed(engine, image, owner):
    other = f"{owner}-other"
    for number, label in enumerate((owner, owner, other)):
        await engine.run(f"{owner}-{number}", {"Image": image, "Labels": {OWNER: label}})
    assert await engine.remove_all({OWNER: owner}) == 2
    assert await engine.containers({OWNER: owner}) == []
    left = await engine.containers({OWNER: other})
    assert len(left) == 1
    await engine.remove(left[0])
    await engine.remove(left[0])


async def test_the_end_of_a_container_is_told(engine, image, owner):
    labels = {"Image": image, "Labels": {OWNER: owner}, "Entrypoint": ["/bin/sleep", "0"]}
    container = await engine.run(owner, labels)
    assert await engine.exit_code(container) == 0


async def test_an_image_nobody_has_is_an_error_that_says_so(engine, owner):
    with pytest.raises(ContainerError, match=r"localhost:1/nothing"):
        await engine.run(owner, {"Image": "localhost:1/nothing:at-all"})


async def test_an_engine_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ContainerError, match="cannot be reached"):
        await Engine(tmp_path / "none.sock").containers({})


@pytest.fixture
async def manager(image, owner, tmp_path):
    gone = asyncio.Queue()
    setting = Setting(
        "ws://127.0.0.1:1",
        owner,
        {CLASS: 2},
        work_dir=tmp_path,
        docker_socket=config.docker_socket,
        executor_image=image,
    )
    it = DockerManager(setting, lambda *how: gone.put_nowait(how))
    await it.open()
    yield it, gone
    await it.close()


async def test_an_executor_is_a_container_with_its_token_and_labels(manager, owner):
    it, _ = manager
    await it.start("one-time-token", CLASS)
    name = f"ch-{executor_id('one-time-token')}"
    asked = "{{json .Config.Env}} {{json .Config.Labels}} {{.HostConfig.Privileged}}"
    told = subprocess.run(
        ["docker", "inspect", "-f", asked, name], capture_output=True, text=True, check=True
    ).stdout
    assert "EXECUTOR_TOKEN=one-time-token" in told
    assert f"EXECUTOR_OWNER={owner}" in told
    assert executor_id("one-time-token") in told
    assert told.strip().endswith("false")


async def test_an_executor_killed_from_outside_is_told_of(manager):
    it, gone = manager
    await it.start("victim", CLASS)
    subprocess.run(["docker", "kill", f"ch-{executor_id('victim')}"], check=True)
    token, how = await asyncio.wait_for(gone.get(), 10)
    assert token == "victim"
    assert how == "exit code 137"


async def test_a_kill_takes_its_job_container_too(manager, engine, owner, image):
    it, _ = manager
    await it.start("other victim", CLASS)
    labels = {OWNER: owner, EXECUTOR: executor_id("other victim")}
    await engine.run(f"{owner}-job", {"Image": image, "Labels": labels})
    await it.kill("other victim")
    async with asyncio.timeout(10):
        while await engine.containers({EXECUTOR: executor_id("other victim")}):
            await asyncio.sleep(0.05)
    await it.kill("other victim")


async def test_what_an_earlier_life_left_is_removed_at_the_start(engine, image, owner, tmp_path):
    await engine.run(f"{owner}-left", {"Image": image, "Labels": {OWNER: owner}})
    it = DockerManager(
        Setting("ws://x", owner, work_dir=tmp_path, docker_socket=config.docker_socket),
        lambda *_: None,
    )
    await it.open()
    assert await engine.containers({OWNER: owner}) == []
    await it.close()
