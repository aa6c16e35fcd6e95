"""The door to the engine, with a real engine behind it."""

import asyncio
import io
import json
import subprocess
import tarfile
from uuid import uuid4

import pytest

from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from localnet import images
from miner.config import config
from miner.executors import containers
from miner.executors.containers import DockerManager
from miner.executors.docker import EXECUTOR, OWNER, Engine
from miner.executors.manager import Setting, executor_id

pytestmark = pytest.mark.docker

IMAGE = "miner-tests/sleeper:1"
CLASS = ExecutorClass.always_on__test


@pytest.fixture(scope="session")
def image() -> str:
    """An image that sleeps, whatever it is told."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        root.add(images.static_busybox(), "bin/sleep")
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


async def test_a_container_that_is_gone_has_no_exit_code(engine):
    assert await engine.exit_code(f"nobody-{uuid4().hex}") is None


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_an_engine_that_hangs_up_is_an_error(tmp_path, answer):
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / "docker.sock"):
        with pytest.raises(ContainerError, match="hung up"):
            await Engine(tmp_path / "docker.sock").exit_code("any")


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
    # Who asks for the exit code of a container that is removed already hears only that.
    await asyncio.sleep(0.5)
    subprocess.run(["docker", "kill", f"ch-{executor_id('victim')}"], check=True)
    token, how = await asyncio.wait_for(gone.get(), 10)
    assert token == "victim"
    assert how == "exit code 137"


async def test_an_engine_out_of_reach_for_a_while_loses_no_executor(manager, owner, monkeypatch):
    it, gone = manager
    monkeypatch.setattr(containers, "AGAIN_SECONDS", 0.1)
    asked = Engine.exit_code
    failures = [ContainerError("hung up"), ContainerError("refused")]

    async def unsteady(self, container):
        if failures:
            raise failures.pop()
        return await asked(self, container)

    monkeypatch.setattr(Engine, "exit_code", unsteady)
    await it.start("patient", CLASS)
    async with asyncio.timeout(10):
        while failures:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert gone.empty()
    subprocess.run(["docker", "kill", f"ch-{executor_id('patient')}"], check=True)
    assert await asyncio.wait_for(gone.get(), 10) == ("patient", "exit code 137")


async def test_what_an_executor_may_do_is_little(manager):
    it, _ = manager
    await it.start("confined", CLASS)
    asked = "{{json .HostConfig}}"
    told = subprocess.run(
        ["docker", "inspect", "-f", asked, f"ch-{executor_id('confined')}"],
        capture_output=True,
        check=True,
    ).stdout
    host = json.loads(told)
    assert host["CapDrop"] == ["ALL"]
    rights = ["DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_PTRACE"]
    assert host["CapAdd"] == rights
    # Sharing the machine's processes, the engine takes the label of SELinux away by itself.
    assert set(host["SecurityOpt"]) - {"label=disable"} == {"no-new-privileges"}
    assert host["PidMode"] == "host"
    assert host["ReadonlyRootfs"] is True
    assert host["AutoRemove"] is True
    work = str(it.setting.work_dir)
    assert host["Binds"] == [f"{config.docker_socket}:/var/run/docker.sock", f"{work}:{work}"]


async def test_executors_are_told_the_settings_of_executors(manager, monkeypatch):
    it, _ = manager
    monkeypatch.setenv("EXECUTOR_PIDS", "77")
    monkeypatch.setenv("EXECUTOR_DOCKER_URL", "unix:///elsewhere.sock")
    monkeypatch.setenv("MINER_SECRET_KEY", "hush")
    await it.start("told", CLASS)
    told = subprocess.run(
        ["docker", "inspect", "-f", "{{json .Config.Env}}", f"ch-{executor_id('told')}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "EXECUTOR_PIDS=77" in told
    assert "EXECUTOR_DOCKER_URL=unix:///var/run/docker.sock" in told
    assert "hush" not in told


async def test_a_server_takes_its_next_executor_when_the_last_has_left(image, owner, tmp_path):
    path = tmp_path / "servers.yml"
    path.write_text(f"here: {{mode: local, executor_class: {CLASS}}}")
    setting = Setting(
        "ws://127.0.0.1:1",
        owner,
        work_dir=tmp_path,
        docker_socket=config.docker_socket,
        docker_servers=path,
        executor_image=image,
    )
    it = DockerManager(setting, lambda *_: None)
    await it.open()
    await it.start("first", CLASS)
    second = asyncio.create_task(it.start("second", CLASS))
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    subprocess.run(["docker", "kill", f"ch-{executor_id('first')}"], check=True)
    await asyncio.wait_for(second, 10)
    await it.close()
    assert await it._places[0].engine.containers({OWNER: owner}) == []


async def test_a_kill_takes_its_job_container_too(manager, engine, owner, image):
    it, _ = manager
    await it.start("other victim", CLASS)
    labels = {OWNER: owner, EXECUTOR: executor_id("other victim")}
    await engine.run(f"{owner}-job", {"Image": image, "Labels": labels})
    await it.kill("other victim")
    assert await engine.containers({EXECUTOR: executor_id("other victim")}) == []
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
