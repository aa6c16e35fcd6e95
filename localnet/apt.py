"""Installs or unpacks packages of Debian and Ubuntu that the local network needs."""

import os
import shutil
import subprocess
from pathlib import Path


class AptError(Exception):
    """A package could not be installed or downloaded; the message contains apt's error."""


def install(*packages: str) -> None:
    """Install packages; needs root. Raises `AptError`.

    Without systemd the packages' services are not started, because nothing would stop them.
    """
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    if not Path("/run/systemd/system").exists():
        env["RUNLEVEL"] = "1"
    _run(["apt-get", "-q", "update"], env)
    _run(["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages], env)


def unpack(package: str, folder: Path) -> None:
    """Unpack a package's files into `folder`/tree without installing it. Raises `AptError`."""
    if os.geteuid() == 0:
        _run(["apt-get", "-q", "update"])
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], folder=folder)
    archive = next(folder.glob(f"{package}_*.deb"))
    _run(["dpkg", "-x", str(archive), "tree"], folder=folder)


def _run(command: list[str], env: dict[str, str] | None = None, folder: Path | None = None) -> None:
    if not shutil.which(command[0]):
        raise AptError(f"{command[0]} is not installed: this is neither Debian nor Ubuntu")
    done = subprocess.run(
        command,
        env=os.environ | (env or {}),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AptError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-400:]}")
