"""The client of the Docker API and the `docker` manager, with a real engine."""

import asyncio
import io
import json
import subprocess
import tarfile
from uuid import uuid4

import pytest

from compute_horde.container_names import executor_container
from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from localnet import images
from miner.config import config
from miner.executors import docker_manager
from miner.executors.docker_engine import EXECUTOR, OWNER, DockerEngine
from miner.executors.docker_manager import DockerManager
from miner.executors.manager import ManagerSettings, executor_id

pytestmark = pytest.mark.docker

IMAGE = "miner-tests/sleeper:1"
CLASS = ExecutorClass.always_on__test


@pytest.fixture(scope="session")
def image() -> str:
    """An image that sleeps, whatever its arguments are."""
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
    return DockerEngine(config.docker_socket)


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


async def test_the_exit_code_of_a_container_is_returned(engine, image, owner):
    labels = {"Image": image, "Labels": {OWNER: owner}, "Entrypoint": ["/bin/sleep", "0"]}
    container = await engine.run(owner, labels)
    assert await engine.exit_code(container) == 0


async def test_a_container_that_does_not_exist_has_no_exit_code(engine):
    assert await engine.exit_code(f"nobody-{uuid4().hex}") is None


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\n"])
async def test_an_engine_that_closes_the_connection_is_an_error(tmp_path, answer):
    async def close_connections(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(close_connections, tmp_path / "docker.sock"):
        with pytest.raises(ContainerError, match="closed the connection"):
            await DockerEngine(tmp_path / "docker.sock").exit_code("any")


async def test_an_image_that_does_not_exist_is_an_error_that_names_it(engine, owner):
    with pytest.raises(ContainerError, match=r"localhost:1/nothing"):
        await engine.run(owner, {"Image": "localhost:1/nothing:at-all"})


async def test_a_missing_engine_is_an_error(tmp_path):
    with pytest.raises(ContainerError, match="cannot be reached"):
        await DockerEngine(tmp_path / "none.sock").containers({})


@pytest.fixture
async def manager(image, owner, tmp_path):
    ended = asyncio.Queue()
    setting = ManagerSettings(
        "ws://127.0.0.1:1",
        owner,
        {CLASS: 2},
        work_dir=tmp_path,
        docker_socket=config.docker_socket,
        executor_image=image,
    )
    it = DockerManager(setting, lambda *how: ended.put_nowait(how))
    await it.open()
    yield it, ended
    await it.close()


async def test_an_executor_is_a_container_with_its_token_and_labels(manager, owner):
    it, _ = manager
    await it.start("one-time-token", CLASS)
    name = executor_container(executor_id("one-time-token"))
    template = "{{json .Config.Env}} {{json .Config.Labels}} {{.HostConfig.Privileged}}"
    inspected = subprocess.run(
        ["docker", "inspect", "-f", template, name], capture_output=True, text=True, check=True
    ).stdout
    assert "EXECUTOR_TOKEN=one-time-token" in inspected
    assert f"EXECUTOR_OWNER={owner}" in inspected
    assert executor_id("one-time-token") in inspected
    assert inspected.strip().endswith("false")


async def test_the_end_of_a_killed_executor_is_reported(manager, monkeypatch):
    it, ended = manager
    template, asked = DockerEngine.exit_code, asyncio.Event()

    async def noted(self, container):
        asked.set()
        return await template(self, container)

    monkeypatch.setattr(DockerEngine, "exit_code", noted)
    await it.start("killed", CLASS)
    # The exit code of a container that is removed already is unknown.
    await asyncio.wait_for(asked.wait(), 30)
    await asyncio.sleep(0.5)
    subprocess.run(["docker", "kill", executor_container(executor_id("killed"))], check=True)
    token, how = await asyncio.wait_for(ended.get(), 30)
    assert token == "killed"
    assert how == "exit code 137"


async def test_an_engine_unreachable_for_a_while_loses_no_executor(manager, owner, monkeypatch):
    it, ended = manager
    monkeypatch.setattr(docker_manager, "RETRY_SECONDS", 0.1)
    template = DockerEngine.exit_code
    failures = [ContainerError("hung up"), ContainerError("refused")]
    asked = asyncio.Event()

    async def unsteady(self, container):
        if failures:
            raise failures.pop()
        asked.set()
        return await template(self, container)

    monkeypatch.setattr(DockerEngine, "exit_code", unsteady)
    await it.start("patient", CLASS)
    await asyncio.wait_for(asked.wait(), 30)
    await asyncio.sleep(0.5)
    assert ended.empty()
    subprocess.run(["docker", "kill", executor_container(executor_id("patient"))], check=True)
    assert await asyncio.wait_for(ended.get(), 30) == ("patient", "exit code 137")


async def test_an_executor_has_few_privileges(manager):
    it, _ = manager
    await it.start("confined", CLASS)
    template = "{{json .HostConfig}}"
    inspected = subprocess.run(
        ["docker", "inspect", "-f", template, executor_container(executor_id("confined"))],
        capture_output=True,
        check=True,
    ).stdout
    host = json.loads(inspected)
    assert host["CapDrop"] == ["ALL"]
    rights = ["DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_PTRACE"]
    assert host["CapAdd"] == rights
    # With the PID namespace of the host, the engine disables the label of SELinux by itself.
    assert set(host["SecurityOpt"]) - {"label=disable"} == {"no-new-privileges"}
    assert host["PidMode"] == "host"
    assert host["ReadonlyRootfs"] is True
    assert host["AutoRemove"] is True
    work = str(it.setting.work_dir)
    assert host["Binds"] == [f"{config.docker_socket}:/var/run/docker.sock", f"{work}:{work}"]


async def test_executors_get_the_settings_of_executors(manager, monkeypatch):
    it, _ = manager
    monkeypatch.setenv("EXECUTOR_PIDS", "77")
    monkeypatch.setenv("EXECUTOR_DOCKER_URL", "unix:///elsewhere.sock")
    monkeypatch.setenv("MINER_SECRET_KEY", "hush")
    await it.start("configured", CLASS)
    inspected = subprocess.run(
        [
            "docker",
            "inspect",
            "-f",
            "{{json .Config.Env}}",
            executor_container(executor_id("configured")),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "EXECUTOR_PIDS=77" in inspected
    assert "EXECUTOR_DOCKER_URL=unix:///var/run/docker.sock" in inspected
    assert "hush" not in inspected


async def test_a_server_gets_its_next_executor_after_the_previous_one(image, owner, tmp_path):
    path = tmp_path / "servers.yml"
    path.write_text(f"here: {{mode: local, executor_class: {CLASS}}}")
    setting = ManagerSettings(
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
    subprocess.run(["docker", "kill", executor_container(executor_id("first"))], check=True)
    await asyncio.wait_for(second, 10)
    await it.close()
    assert await it._server_slots[0].engine.containers({OWNER: owner}) == []


async def test_a_kill_also_removes_the_job_container(manager, engine, owner, image):
    it, _ = manager
    await it.start("other killed", CLASS)
    labels = {OWNER: owner, EXECUTOR: executor_id("other killed")}
    await engine.run(f"{owner}-job", {"Image": image, "Labels": labels})
    await it.kill("other killed")
    assert await engine.containers({EXECUTOR: executor_id("other killed")}) == []
    await it.kill("other killed")


async def test_containers_of_an_earlier_process_are_removed(engine, image, owner, tmp_path):
    left = await engine.run(f"{owner}-left", {"Image": image, "Labels": {OWNER: owner}})
    it = DockerManager(
        ManagerSettings("ws://x", owner, work_dir=tmp_path, docker_socket=config.docker_socket),
        lambda *_: None,
    )
    await it.open()
    # The container that removes directories has the label too, and may be running by now.
    assert left not in await engine.containers({OWNER: owner})
    await it.close()
