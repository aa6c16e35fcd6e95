"""A separate engine with a small disk, and registries for tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack

import pytest

from executor.config import Config
from executor.images import job_image
from executor.sandbox.engine import Engine
from localnet import apt
from tests.executor.images.registry import Registry

DISK_BYTES = 300 * 2**20
START_SECONDS = 30


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory):
    """A separate file system, so that a full one affects only these tests."""
    if os.geteuid():
        pytest.skip("needs root")
    path = tmp_path_factory.mktemp("engine") / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(scope="session")
def own_bridge():
    """A bridge for that engine: with `--bridge none` it deletes the `docker0` of other engines."""
    name = f"chtest{os.getpid()}"
    option = f"com.docker.network.bridge.name={name}"
    subprocess.run(
        ["docker", "network", "create", "--opt", option, name], check=True, capture_output=True
    )
    yield name
    subprocess.run(["docker", "network", "rm", name], check=True, capture_output=True)


@pytest.fixture(scope="session")
def own_engine_url(small_disk, own_bridge):
    """The address of an engine that stores its images on the small disk."""
    folder = small_disk.parent
    socket_path = folder / "docker.sock"
    url = f"unix://{socket_path}"
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [
                *("dockerd", "--data-root", small_disk, "--exec-root", folder / "exec"),
                *("-H", url, "-p", folder / "pid", "--bridge", own_bridge, "--iptables=false"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _until(lambda: _listens(socket_path), running)
        yield url
    finally:
        running.terminate()
        running.wait(START_SECONDS)


def _listens(path):
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(path))
    return True


def _until(ready, running):
    until = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            if ready():
                return
        assert running.poll() is None, "it ended"
        assert time.monotonic() < until, "it does not start"
        time.sleep(0.05)


@pytest.fixture
async def own_engine(own_engine_url):
    """A connection to that engine, which has no image before and after."""
    async with await Engine.connect(own_engine_url) as connected:
        await _empty(connected)
        yield connected
        await _empty(connected)


async def _empty(engine):
    for one in await engine.docker.images.list():
        await engine.docker.images.delete(one["Id"], force=True)


@pytest.fixture
async def registry():
    """A scripted registry."""
    async with Registry().serving() as serving:
        yield serving


@pytest.fixture
def settings(tmp_path, registry):
    """An executor that may fetch from the test's registry."""
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    return Config(
        work_dir=work_dir,
        owner="image-tests",
        registries=(registry.host,),
        local_images=(),
        disk_reserve_bytes=32 * 2**20,
        image_max_bytes=64 * 2**20,
    )


@pytest.fixture
def obtain(own_engine, settings):
    with ExitStack() as kept:

        async def obtained(name, *, kept=kept, **changes):
            config = settings.model_copy(update=changes)
            return await job_image.obtain(name, own_engine, config, kept)

        yield obtained


@pytest.fixture(scope="session")
def debian_registry(tmp_path_factory):
    """The address of Debian's registry, a server that others use."""
    if shutil.which("docker-registry") is None:
        if os.geteuid():
            pytest.skip("needs docker-registry")
        apt.install("docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = folder / "config.yml"
    settings.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(["docker-registry", "serve", settings], stdout=log, stderr=log)
    try:
        _until(lambda: socket.create_connection(("127.0.0.1", port)).close() or True, running)
        yield f"127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(START_SECONDS)
