"""The engine's client: its results and errors."""

import asyncio

import pytest

from compute_horde.errors import ContainerError, JobError
from executor.process import id_of
from executor.sandbox.container import EngineError
from executor.sandbox.engine import EXECUTOR, Engine, tagged
from tests.peers.executors_miner import TOKEN

ME = id_of(TOKEN)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("ubuntu", "ubuntu:latest"),
        ("ubuntu:22.04", "ubuntu:22.04"),
        ("a/b", "a/b:latest"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("host:5000/a/b:1", "host:5000/a/b:1"),
        ("a@sha256:00", "a@sha256:00"),
        ("host:5000/a:1@sha256:00", "host:5000/a:1@sha256:00"),
    ],
)
def test_a_name_without_tag_and_digest_means_the_latest(name, full):
    assert tagged(name) == full


@pytest.mark.docker
async def test_only_what_is_labelled_is_removed(make, engine):
    await make("true", name="one")
    await make("true", name="two")
    assert await engine.remove(label=EXECUTOR, value="another") == 0
    assert set((await engine.labelled(EXECUTOR, ME)).values()) == {ME}
    assert await engine.remove(label=EXECUTOR, value=ME) == 2


@pytest.mark.docker
async def test_refusals_name_the_guilty(make, engine):
    with pytest.raises(JobError):
        await make()
    await make("true")
    with pytest.raises(EngineError, match="already in use") as conflict:
        await make("true")
    assert conflict.value.status == 409


@pytest.mark.docker
@pytest.mark.parametrize(
    "asked", [{"Runtime": "no-such-runtime"}, {"StorageOpt": {"size": "x", "none": "y"}}]
)
async def test_what_the_operator_asked_for_in_vain_is_not_the_job_s_fault(make, asked):
    with pytest.raises(EngineError):
        await make("true", NetworkMode="none", **asked)


@pytest.mark.docker
async def test_its_runtimes_are_known(engine):
    assert "runc" in await engine.runtimes()


@pytest.mark.docker
@pytest.mark.parametrize(
    "name",
    ["../info?a=:x", "../events?a=:x", "a/../../version?a=:x", "a#:1", "a?b:1", "A:" + "1" * 999],
)
async def test_a_name_asks_the_engine_for_nothing_but_an_image(engine, name):
    async with asyncio.timeout(30):
        with pytest.raises(JobError, match="cannot be fetched"):
            await engine.image(name)


async def test_an_image_tells_what_it_wants(engine, rooted):
    image = await engine.image(rooted)
    assert image.user == "0"
    assert image.env == ("PATH=/bin",)
    assert image.volumes == ("/data",)
    assert image.labels == {"compute_horde.rootfs": "writable"}
    assert await engine.image("executor-tests/none:1") is None


@pytest.mark.docker
async def test_this_engine_confines_containers(engine):
    assert any("seccomp" in option for option in await engine.security_options())


async def test_an_engine_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ContainerError, match="container engine"):
        await Engine.connect(f"unix://{tmp_path}/none.sock")


async def test_an_engine_that_hangs_up_is_told(tmp_path):
    async def hang_up(reader, writer):
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "docker.sock")
    async with server:
        with pytest.raises(ContainerError):
            await Engine.connect(f"unix://{tmp_path}/docker.sock")
