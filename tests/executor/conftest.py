"""What the executor's tests share: settings, directories, tiny images, a web server."""

import asyncio
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from executor import process
from executor.config import Config
from executor.containers import EXECUTOR, Engine
from executor.process import id_of
from executor.workdir import WorkDir
from localnet import images
from tests.executor.peer import TOKEN, Miner, offer, payload, serving

APPLETS = "sh true false echo cat ls ln mkdir mkfifo sleep yes dd head rm id touch seq env df kill"
OWNER = "executor-tests"


def _root() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            root.addfile(entry)
        root.add(images.static_busybox(), "bin/busybox")
        for name in APPLETS.split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            root.addfile(link)
    return packed.getvalue()


def _imported(name: str, *changes: str) -> str:
    options = [part for change in ("ENV PATH=/bin", *changes) for part in ("-c", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name], input=_root(), check=True, capture_output=True
    )
    return name


@pytest.fixture(scope="session")
def busybox() -> str:
    """An image with a shell and no user of its own."""
    return _imported("executor-tests/busybox:latest")


@pytest.fixture(scope="session")
def rooted() -> str:
    """An image that names its user, has a volume and asks for a writable root."""
    return _imported(
        "executor-tests/rooted:1",
        "USER 0",
        "VOLUME /data",
        "LABEL compute_horde.rootfs=writable",
    )


@pytest.fixture(scope="session")
def with_volume() -> str:
    """An image with a volume, which the engine would put on disk."""
    return _imported("executor-tests/with-volume:1", "VOLUME /data")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings for a test: its own directory, and loopback allowed."""
    return Config(
        work_dir=tmp_path / "work",
        owner=OWNER,
        allow_private_urls=True,
        pull_policy="never",
        memory_bytes=256 * 2**20,
    )


@pytest.fixture
def work(config: Config):
    made = WorkDir.make(config.work_dir, id_of(TOKEN), OWNER)
    yield made
    made.remove()


@pytest.fixture
async def engine():
    """The real engine; what a test made is removed after it."""
    async with await Engine.connect(None) as connected:
        yield connected
        await connected.remove(label=EXECUTOR, value=id_of(TOKEN))


@pytest.fixture
async def does(config, work, engine):
    """Runs a job to its end and gives the miner that heard it."""

    async def run(offered, full=None, **changes):
        async with serving(Miner(offered, after_ready=full)) as miner:
            settings = config.model_copy(update={"miner_address": miner.address} | changes)
            await process.live(settings, TOKEN, id_of(TOKEN), work)
            await asyncio.wait_for(miner.hung_up.wait(), 5)
        assert await engine.labelled(EXECUTOR, id_of(TOKEN)) == {}
        return miner

    return run


@pytest.fixture
def runs(does, busybox):
    """Runs a shell line in the small image and gives the last word."""

    async def run(line, *, offered=None, settings=None, **changes):
        full = payload(busybox, "sh", "-c", line, **changes)
        return (await does(offered or offer(busybox), full, **(settings or {}))).last

    return run


class Site:
    """A web server that answers each path as a test says, and keeps what it was sent."""

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
