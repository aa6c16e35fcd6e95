"""Fixtures of the executor's tests: settings, directories, tiny images, a web server."""

import asyncio
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from executor import process
from executor.config import Config
from executor.probe import sandbox
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, Engine
from executor.sandbox.workdir import WorkDir
from tests.executor.tiny_images import imported
from tests.peers.executors_miner import TOKEN, Miner, offer, payload, serving

OWNER = "executor-tests"


@pytest.fixture(scope="session")
def busybox() -> str:
    """An image with a shell and no user of its own."""
    return imported("executor-tests/busybox:latest")


@pytest.fixture(scope="session")
def rooted() -> str:
    """An image that names its user, has a volume and asks for a writable root."""
    return imported(
        "executor-tests/rooted:1",
        "USER 0",
        "VOLUME /data",
        "LABEL compute_horde.rootfs=writable",
    )


@pytest.fixture(scope="session")
def with_volume() -> str:
    """An image with a volume, which the engine would put on disk."""
    return imported("executor-tests/with-volume:1", "VOLUME /data")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings for a test: its own directory, and loopback allowed."""
    return Config(
        work_dir=tmp_path / "work",
        owner=OWNER,
        allow_private_urls=True,
        pull_policy="never",
        local_images=("executor-tests/*",),
        memory_bytes=256 * 2**20,
    )


@pytest.fixture(scope="session")
def tried_before() -> dict[Any, Any]:
    """Results of the confinement probe, by settings."""
    return {}


@pytest.fixture(autouse=True)
def sandbox_is_tried_once(monkeypatch, tried_before):
    """Run the confinement probe once: each test has its own work directory, but the same engine."""
    real = sandbox._run_probe

    async def tried(engine, work, config, executor_id, hold):
        asked = (config.writable_root, config.job_user, config.job_runtime)
        if asked not in tried_before:
            tried_before[asked] = await real(engine, work, config, executor_id, hold)
        return tried_before[asked]

    monkeypatch.setattr(sandbox, "_run_probe", tried)
    return real


@pytest.fixture
def work(config: Config):
    made = WorkDir.make(config.work_dir, id_of(TOKEN), OWNER)
    yield made
    made.remove()


@pytest.fixture
async def engine():
    """The real engine; containers of a test are removed after it."""
    async with await Engine.connect(None) as connected:
        yield connected
        await connected.remove(label=EXECUTOR, value=id_of(TOKEN))


@pytest.fixture
async def does(config, work, engine):
    """Runs a job to its end and returns the miner that received its messages."""

    async def run(offered, full=None, **changes):
        async with serving(Miner(offered, after_ready=full)) as miner:
            settings = config.model_copy(update={"miner_address": miner.address} | changes)
            await process.run_executor(settings, TOKEN, id_of(TOKEN), work)
            await asyncio.wait_for(miner.hung_up.wait(), 30)
        assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}
        return miner

    return run


@pytest.fixture
def runs(does, busybox):
    """Runs a shell line in the small image and returns the last message."""

    async def run(line, *, offered=None, settings=None, **changes):
        full = payload(busybox, "sh", "-c", line, **changes)
        return (await does(offered or offer(busybox), full, **(settings or {}))).last

    return run


def time_for(attempts: int):
    """A `seconds_left` of a stage that has time for this many attempts."""
    left = iter([60.0] * (attempts - 1))
    return lambda: next(left, 0.0)


class Site:
    """A web server with scripted answers by path, which records requests."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self._server = TestServer(self._app())

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.path, headers, body))
        answer = self.answers[request.path]
        if asyncio.iscoroutinefunction(answer):
            return await answer(request)
        return answer(request)

    def __truediv__(self, path: str) -> str:
        return str(self._server.make_url(f"/{path}"))

    async def start(self) -> None:
        await self._server.start_server()

    async def stop(self) -> None:
        await self._server.close()


@pytest.fixture
async def site():
    running = Site()
    await running.start()
    yield running
    await running.stop()


def zipped(*files: tuple[str, bytes], compression: int = 8) -> bytes:
    """A zip with these files."""
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.fixture
def full_disk_work(tmp_path: Path):
    """A work directory on a disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    made = WorkDir.make(disk / "work", id_of(TOKEN), OWNER)
    yield made
    made.remove()
    subprocess.run(["umount", disk], check=True)
