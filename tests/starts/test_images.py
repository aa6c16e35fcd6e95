"""The images as `make images` builds them, as an operator runs them: against real servers."""

import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.starts.test_starts import PROCESSES
from tests.starts.world import READY, ROOT, START_SECONDS, World

STAGE = re.compile(r"^FROM \S+ AS (\S+)$", re.MULTILINE)
SERVICES = ("facilitator", "miner", "validator")
HEALTHY_SECONDS = 90
NOBODY = "12345:12345"


def docker(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=HEALTHY_SECONDS
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def _stages() -> dict[str, str]:
    """Each stage of the Dockerfile with its lines."""
    text = (ROOT / "Dockerfile").read_text()
    names = STAGE.findall(text)
    return dict(zip(names, STAGE.split(text)[2::2], strict=True))


def test_make_images_builds_every_image_that_is_run_by_name():
    made = re.search(r"^IMAGES := (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    jobs = {"hash:v1", "hashcat:v1", "llm-prompts:v1", "llm-solver:v1"}
    assert set(made) == {"executor", "relay", *jobs, *SERVICES}
    assert {name.partition(":")[0] for name in made} <= set(_stages())


@pytest.mark.parametrize("service", SERVICES)
def test_a_server_listens_on_all_addresses_of_its_container_and_is_checked(service):
    stage = _stages()[service]
    assert f"{service.upper()}_HOST=0.0.0.0" in stage
    assert "USER horde" in stage
    assert re.search(rf'HEALTHCHECK .*\\\n +CMD \["python", "-m", "{service}", "health"\]', stage)


@pytest.fixture(scope="module")
def engine() -> None:
    """An engine that has the images; building them takes too long for a test."""
    try:
        listed = docker("images", "--format", "{{.Repository}}").split()
    except (OSError, AssertionError):
        pytest.skip("no Docker")
    if missing := {f"computehorde/{service}" for service in SERVICES} - set(listed):
        pytest.skip(f"`make images` has not made {', '.join(sorted(missing))}")


class Container:
    """One container of a service on the host's network, with a root that cannot be written."""

    def __init__(self, world: World, service: str, folder: Path) -> None:
        self._service = service
        env = {
            name: value
            for name, value in world.env(service, folder).items()
            if name.startswith(service.upper()) and not name.endswith(("_HOST", "_WORK_DIR"))
        }
        self.port = env[f"{service.upper()}_PORT"]
        key = folder / "hotkey"
        if source := env.get(f"{service.upper()}_HOTKEY_FILE"):
            key.write_bytes(Path(source).read_bytes())
            key.chmod(0o600)
            os.chown(key, int(NOBODY.split(":")[0]), -1)
            env[f"{service.upper()}_HOTKEY_FILE"] = "/hotkey"
        # As an operator keeps them: in a file that the service itself reads.
        self._env = folder / "env"
        self._env.write_text("".join(f"{name}='{value}'\n" for name, value in env.items()))
        self._env.chmod(0o644)
        self._mounts = ["-v", f"{self._env}:/app/.env:ro"]
        if key.exists():
            self._mounts += ["-v", f"{key}:/hotkey:ro"]
        self.name = f"starts-{folder.name}"[:60]

    def run(self, process: str, *options: str) -> None:
        socket = "/var/run/docker.sock"
        group = str(os.stat(socket).st_gid)
        docker(
            *("run", "--detach", "--name", self.name, "--network", "host", "--read-only"),
            *("--tmpfs", "/tmp", "--user", NOBODY, "--group-add", group),
            *("--health-interval", "1s", "-v", f"{socket}:{socket}", *self._mounts, *options),
            *(f"computehorde/{self._service}", process),
        )

    def said(self) -> str:
        return docker("logs", self.name)

    def waits_for(self, template: str, wanted: str, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while (found := docker("inspect", "--format", template, self.name)) != wanted:
            assert time.monotonic() < give_up, f"{found}: {self.said()}"
            time.sleep(0.2)


@pytest.fixture
def container(world, tmp_path, service):
    made = Container(world, service, tmp_path)
    yield made
    docker("rm", "--force", "--volumes", made.name, check=False)


@pytest.mark.docker
@pytest.mark.skipif(os.getuid() != 0, reason="gives a key to another user")
@pytest.mark.parametrize(
    ("service", "process"), [(s, p.name) for s, p in PROCESSES], ids=lambda word: word
)
def test_an_image_runs_as_it_is_is_healthy_and_stops_when_told(
    engine, container, service, process, world
):
    container.run(process)
    container.waits_for("{{.State.Health.Status}}", "healthy", HEALTHY_SECONDS)
    ready = next(line for line in container.said().splitlines() if READY in line)
    if process == "web":
        assert "listens='0.0.0.0:" in ready
        url = f"http://127.0.0.1:{container.port}/health"
        assert urllib.request.urlopen(url, timeout=START_SECONDS).read() == b"ok"
    docker("stop", "--time", "10", container.name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container.name) == "0"
    assert "Traceback" not in container.said()
    assert not world.leaks(container.said())


@pytest.mark.docker
def test_the_image_of_synthetic_jobs_finds_the_numbers(engine):
    if not docker("images", "--quiet", "computehorde/hash:v1"):
        pytest.skip("`make images` has not made computehorde/hash:v1")
    found = subprocess.run(
        "printf %s salt7 | sha256sum", shell=True, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    said = docker(
        *("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
        *("computehorde/hash:v1", "salt", "10", found, "0" * 64),
    )
    assert said.split() == ["7", "?"]
