"""The Docker engine of this machine, or one started with the network where there is none.

Talks to the engine by httpx, not by aiodocker as the executor does: its callers are synchronous,
and the import of an image's root file system (`POST /images/create?fromSrc=-`) is no public method
of aiodocker.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

from localnet import apt
from localnet.supervisor.supervised_process import ProcessSpec

_DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT_SECONDS = 120
_CGROUPS = Path("/sys/fs/cgroup")
_PACKAGES = ("docker.io", "iptables", "ca-certificates")


class NoDockerError(Exception):
    """There is no engine and none can be started; the message names the remedy."""


def client() -> httpx.Client:
    """An HTTP client of the engine at DOCKER_HOST, or at the default socket.

    It speaks no TLS, so that it does without the certificates, which take long to load.
    """
    address = os.environ.get("DOCKER_HOST", _DEFAULT)
    if not address.startswith("unix://"):
        url = address.replace("tcp://", "http://", 1)
        return httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False, verify=False)
    transport = httpx.HTTPTransport(uds=address.removeprefix("unix://"), verify=False)
    return httpx.Client(
        transport=transport,
        base_url="http://docker",
        timeout=_TIMEOUT_SECONDS,
        trust_env=False,
        verify=False,
    )


def answers() -> bool:
    """Whether an engine answers at DOCKER_HOST, or at the default socket."""
    try:
        _connect_once()
        with client() as engine:
            return engine.get("/_ping", timeout=5).is_success
    except (httpx.HTTPError, OSError):
        return False


def _connect_once() -> None:
    """Raise `OSError` where nothing listens, without the cost of an HTTP client."""
    address = os.environ.get("DOCKER_HOST", _DEFAULT)
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address.removeprefix("unix://"))


async def _answers() -> bool:
    return await asyncio.to_thread(answers)


def prepare() -> bool:
    """Ensure that an engine runs or can be started; True if the network has to run its own.

    Where none answers, this installs Docker with apt and mounts the cgroup controllers, which
    needs root.

    Raises:
        NoDockerError: there is no engine and none can be started.
    """
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


def process(env: dict[str, str], on_first_ready: Callable[[], None]) -> ProcessSpec:
    """An engine that runs as a process of the network and ends with it."""
    return ProcessSpec(
        "docker",
        ["dockerd"],
        env=env,
        probe=_answers,
        on_first_ready=on_first_ready,
        stop_within_seconds=20,
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
    """Mount the cgroup controllers, which the engine needs, where no init system has done so."""
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
