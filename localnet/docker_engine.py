"""The machine's Docker engine; ours, when there is none and we may start one."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

from localnet import apt
from localnet.keeper import Process

_DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT_SECONDS = 120
_CGROUPS = Path("/sys/fs/cgroup")
_PACKAGES = ("docker.io", "iptables", "ca-certificates")


class NoDockerError(Exception):
    """There is no engine, and we cannot help it."""


def client() -> httpx.Client:
    """An HTTP client that talks to the engine."""
    address = os.environ.get("DOCKER_HOST", _DEFAULT)
    if not address.startswith("unix://"):
        url = address.replace("tcp://", "http://", 1)
        return httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)
    transport = httpx.HTTPTransport(uds=address.removeprefix("unix://"))
    return httpx.Client(
        transport=transport, base_url="http://docker", timeout=_TIMEOUT_SECONDS, trust_env=False
    )


def answers() -> bool:
    try:
        _knock()
        with client() as engine:
            return engine.get("/_ping", timeout=5).is_success
    except (httpx.HTTPError, OSError):
        return False


def _knock() -> None:
    """Whoever finds nobody behind the socket's path need not write a letter."""
    address = os.environ.get("DOCKER_HOST", _DEFAULT)
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(address.removeprefix("unix://"))


async def _answers() -> bool:
    return await asyncio.to_thread(answers)


def prepare() -> bool:
    """Make sure that there is an engine or can be one. True if we must run it ourselves."""
    if answers():
        return False
    if "DOCKER_HOST" in os.environ:
        raise NoDockerError("no engine answers at DOCKER_HOST: start it or unset DOCKER_HOST")
    if os.geteuid() != 0:
        raise NoDockerError(_remedy_without_root())
    if not shutil.which("dockerd"):
        _install()
        if answers():
            return False
    _mount_cgroups()
    return True


def process(env: dict[str, str], furnish: Callable[[], None]) -> Process:
    """An engine of our own, which ends with the network."""
    return Process(
        "docker", ["dockerd"], env=env, ready=_answers, furnish=furnish, stop_within_seconds=20
    )


def _remedy_without_root() -> str:
    if Path("/var/run/docker.sock").exists():
        return (
            "the Docker engine does not answer or you may not use it: start it "
            "(`sudo systemctl start docker`) and join its group (`sudo usermod -aG docker $USER`)"
        )
    return "no Docker engine found: install it (`sudo apt-get install docker.io`) or run as root"


def _install() -> None:
    try:
        apt.install(*_PACKAGES)
    except apt.AptError as error:
        raise NoDockerError(f"no Docker engine, and none could be installed: {error}") from error


def _mount_cgroups() -> None:
    """What an init system would have done: the engine needs the kernel's resource controllers."""
    if any(_CGROUPS.iterdir()):
        return
    _mount("tmpfs", "cgroup", _CGROUPS, "mode=755")
    for line in Path("/proc/cgroups").read_text().splitlines()[1:]:
        controller, *_, enabled = line.split()
        if enabled == "1":
            folder = _CGROUPS / controller
            folder.mkdir()
            _mount("cgroup", "cgroup", folder, controller)


def _mount(kind: str, source: str, folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", kind, "-o", options, source, folder], check=True)
