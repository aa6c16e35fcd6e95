"""The engine's door: its answers in our words."""

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from compute_horde.errors import ContainerError, HordeError, JobError
from compute_horde.faults import Cause
from executor.containers import EXECUTOR, Engine, EngineError, Order, tagged
from executor.process import id_of
from tests.executor.peer import TOKEN

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


@pytest.fixture
def make(engine, busybox):
    async def made(*command, name="job", **host):
        image = await engine.image(busybox)
        order = Order(f"ch-{ME}-{name}", image.id, list(command), [], "65534", {EXECUTOR: ME}, host)
        return await engine.create(order)

    return made


async def printed(container):
    return [(is_stderr, data) async for is_stderr, data in container.output()]


@pytest.mark.docker
async def test_both_streams_are_heard_from_the_first_byte_to_the_last(make):
    container = await make("sh", "-c", "echo out; echo err >&2; exit 3", NetworkMode="none")
    await container.attach()
    await container.start()
    pieces = await printed(container)
    assert b"".join(data for is_stderr, data in pieces if not is_stderr) == b"out\n"
    assert b"".join(data for is_stderr, data in pieces if is_stderr) == b"err\n"
    assert await container.exit_code() == 3
    assert not await container.was_out_of_memory()
    await container.remove()


@pytest.mark.docker
async def test_killing_and_removing_are_harmless_twice(make, engine):
    container = await make("sleep", "60", NetworkMode="none")
    await container.start()
    for _ in range(2):
        await container.kill()
    assert await container.exit_code() == 137
    for _ in range(2):
        await container.remove()
    assert await engine.labelled(EXECUTOR, ME) == {}


@pytest.mark.docker
async def test_what_it_wrote_to_its_root_is_known(make):
    container = await make("dd", "if=/dev/zero", "of=/tmp/x", "bs=1000", "count=1000")
    await container.start()
    assert await container.exit_code() == 0
    assert 1_000_000 <= await container.written_bytes() < 1_100_000


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
    async with asyncio.timeout(5):
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


@pytest.mark.docker
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_in_trouble_is_nobody_s_fault(engine, status):
    async def answer(request):
        code = "TOOMANYREQUESTS" if status == 429 else "UNAVAILABLE"
        return web.json_response({"errors": [{"code": code, "message": "later"}]}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as registry:
        with pytest.raises(HordeError, match="cannot be fetched now") as caught:
            await engine.pull(f"127.0.0.1:{registry.port}/some/image:1")
    assert caught.value.context == Cause.REGISTRY.context


@pytest.mark.docker
async def test_a_registry_that_is_not_there_is_nobody_s_fault(engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(HordeError, match="connection refused") as caught:
        await engine.pull(f"127.0.0.1:{port}/some/image:1")
    assert caught.value.context == Cause.REGISTRY.context


@pytest.mark.docker
async def test_a_registry_s_no_is_the_user_s_fault(engine):
    async def answer(request):
        if request.path == "/v2/":
            return web.json_response({})
        error = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}
        return web.json_response({"errors": [error]}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as registry:
        with pytest.raises(JobError, match="manifest unknown"):
            await engine.pull(f"127.0.0.1:{registry.port}/http-429/toomanyrequests:500")
