"""Runs hostile jobs, several at once, and checks the machine after them."""

import asyncio
import io
import os
import secrets
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute_horde.protocol.job import HordeFailed, JobFailed, JobFinished
from executor import process
from executor.config import Config
from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, Engine
from executor.sandbox.workdir import WorkDir
from localnet import images
from tests.peers.executors_miner import TIMING, Miner, offer, payload, serving

SECONDS = 30
LEAVE_SECONDS = 10
FOLDERS = {"bin": 0o755, "tmp": 0o1777, "var": 0o755, "run": 0o755}
# A setuid program, should anybody get that far.
ELEVATED = "bin/busybox-elevated"


def _root() -> bytes:
    busybox = images.static_busybox()
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as root:
        for folder, mode in FOLDERS.items():
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            root.addfile(entry)
        root.add(busybox, "bin/busybox")
        root.add(busybox, ELEVATED, filter=_setuid)
        for name in listed.stdout.split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                root.addfile(link)
    return packed.getvalue()


def _setuid(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode, entry.uid, entry.gid = 0o4755, 0, 0
    return entry


def _imported(name: str, *changes: str) -> str:
    options = [part for change in ("ENV PATH=/bin", *changes) for part in ("-c", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name], input=_root(), check=True, capture_output=True
    )
    return name


@pytest.fixture(scope="session")
def nobody() -> str:
    """An image without a user of its own."""
    return _imported("executor-tests/hostile:1")


@pytest.fixture(scope="session")
def as_root() -> str:
    """An image whose user is root."""
    return _imported("executor-tests/hostile-root:1", "USER 0")


@pytest.fixture(scope="session")
def writable() -> str:
    """An image with a writable root whose user is root."""
    return _imported(
        "executor-tests/hostile-writable:1", "USER 0", "LABEL compute_horde.rootfs=writable"
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """The final message of a job."""

    answer: JobFinished | JobFailed | HordeFailed

    @property
    def kind(self) -> type:
        return type(self.answer)

    @property
    def message(self) -> str:
        """Why it failed."""
        return "" if isinstance(self.answer, JobFinished) else self.answer.message

    @property
    def printed(self) -> str:
        return self.answer.docker_process_stdout


class Cell:
    """Runs the jobs of one test, with an executor each."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.config = config
        self.engine = engine

    async def endures(
        self,
        image: str,
        line: str,
        *,
        seconds: int = SECONDS,
        settings: dict[str, object] | None = None,
        **changes: object,
    ) -> Trial:
        """Run a shell line as a job to its end, and check that nothing of it is left."""
        token = secrets.token_hex(8)
        work = WorkDir.make(self.config.work_dir, id_of(token), self.config.owner)
        timing = TIMING.model_copy(update={"execution_time_limit": seconds, "allowed_leeway": 0})
        full = payload(image, "sh", "-c", line, **changes)
        try:
            async with serving(
                Miner(offer(image, executor_timing=timing), after_ready=full)
            ) as miner:
                update = {"miner_address": miner.address, **(settings or {})}
                config = self.config.model_copy(update=update)
                await process.run_executor(config, token, id_of(token), work)
                await asyncio.wait_for(miner.hung_up.wait(), 30)
        finally:
            work.remove()
        assert await self.engine.labelled(EXECUTOR, id_of(token)) == {}
        return Trial(miner.last)

    async def endures_all(self, image: str, lines: dict[str, str], **how: object) -> dict:
        """Run several jobs at once, by name."""
        trials = await asyncio.gather(
            *(self.endures(image, line, **how) for line in lines.values())
        )
        return dict(zip(lines, trials, strict=True))


@pytest.fixture
async def cell(config, engine, tmp_path):
    """Runs hostile jobs; the machine is checked afterwards."""
    owner = f"hostile-{secrets.token_hex(8)}"
    seen = tmp_path / "containers"
    with seen.open("wb") as file:
        listening = await asyncio.create_subprocess_exec(
            *("docker", "events", "--since", str(int(time.time()) - 1)),
            *("--filter", "event=create", "--filter", f"label=compute_horde.owner={owner}"),
            *("--format", "{{.ID}}"),
            stdout=file,
        )
    yield Cell(config.model_copy(update={"owner": owner}), engine)
    listening.terminate()
    await listening.wait()
    left = seen.read_text().split()
    assert left, "no job ran"
    await _gone(left)
    assert not list(config.work_dir.glob("ch-*"))


async def _gone(containers: list[str]) -> None:
    """Check that no process, mount or control group of these containers is left."""
    async with asyncio.timeout(LEAVE_SECONDS):
        while traces := [trace for one in containers for trace in _traces(one)]:
            await asyncio.sleep(0.1)
    assert not traces


def _traces(container: str) -> list[str]:
    found = [str(path) for path in Path("/proc").glob("[0-9]*/cgroup") if container in _text(path)]
    found += [line for line in _text(Path("/proc/self/mounts")).splitlines() if container in line]
    return found + [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/docker/{container}")]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.fixture
def sighted() -> None:
    """Skip without root, which alone sees the open files of other users' processes."""
    if os.geteuid():
        pytest.skip("needs root")
