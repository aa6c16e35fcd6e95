"""Installs or unpacks packages of Debian and Ubuntu that the local network needs."""

import os
import shutil
import subprocess
import time
from pathlib import Path

# How long another apt on this machine is waited for, and how often it is looked whether it ended.
LOCK_SECONDS, LOOK_SECONDS = 150.0, 0.5
# What apt says while another one works; its own waiting covers only a part of its locks.
LOCKED = ("Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock")


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
    give_up = time.monotonic() + LOCK_SECONDS
    while problem := _problem(command, env or {}, folder):
        if not any(text in problem for text in LOCKED):
            break
        if time.monotonic() > give_up:
            problem = f"another one held its locks for {LOCK_SECONDS:g} s: {problem}"
            break
        time.sleep(LOOK_SECONDS)
    else:
        return
    raise AptError(f"`{' '.join(command)}` failed: {problem}")


def _problem(command: list[str], env: dict[str, str], folder: Path | None) -> str:
    """The end of what a failed command wrote; an empty text when it did not fail."""
    done = subprocess.run(
        command,
        env=os.environ | {"LC_ALL": "C"} | env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return ""
    return done.stderr.strip()[-400:] or f"exit status {done.returncode}"
