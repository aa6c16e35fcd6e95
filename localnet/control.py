"""Bringing a network up and down from the outside."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from signal import SIGTERM

import psutil

from localnet import docker_engine, images, leftovers, postgres, state
from localnet.daemon import BROKEN, UP
from localnet.home import Home, write_whole
from localnet.network import Network, env_lines

_DOWN_WITHIN_SECONDS = 60
_TAIL_LINES = 15

Tell = Callable[[str], None]


class NotUpError(Exception):
    """The network could not be brought up."""


def up(
    home: Home, *, miners: int = 1, only: Sequence[str] = (), tell: Tell, attached: bool = False
) -> None:
    """Start everything and return when all of it is ready.

    What is attached ends with the process that brought it up.
    """
    try:
        lock = state.lock(home)
    except BlockingIOError:
        tell("already up")
        return
    with lock:
        for name in leftovers.sweep(home):
            tell(f"ended a leftover {name}")
        for name in home.release_busy_ports():
            tell(f"the port of {name} was taken, another one is used now")
        network = prepare(home, miners=miners, only=only, tell=tell)
        arguments = [*_arguments(network, only), *(["--attached"] if attached else [])]
        _supervise(home, arguments, lock.fileno(), tell)


def down(home: Home) -> bool:
    """Stop everything. False if there was nothing to stop."""
    running = state.supervisor(home)
    if running:
        running.terminate()
        try:
            running.wait(_DOWN_WITHIN_SECONDS)
        except psutil.TimeoutExpired:
            running.kill()
    return bool(leftovers.sweep(home)) or running is not None


def prepare(home: Home, *, miners: int, only: Sequence[str], tell: Tell) -> Network:
    """Everything that is made once, before the processes start."""
    postgres.prepare(home)
    own_docker = False
    if not only or any(name.startswith(("docker", "miner")) for name in only):
        tell("looking for a Docker engine")
        own_docker = docker_engine.prepare()
        images.static_busybox()
        if not own_docker:
            images.build()
    network = Network(home, miners, own_docker)
    lines = [f"{name}={value}\n" for name, value in env_lines(network).items()]
    write_whole(home.env_file, "".join(lines), mode=0o600)
    return network


def _supervise(home: Home, arguments: Sequence[str], lock: int, tell: Tell) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as report:
        pid = _spawn(["--report", str(writing), *arguments], home.log("supervisor"), writing, lock)
        os.close(writing)
        try:
            _follow(home, report, tell)
        except BaseException:
            os.kill(pid, SIGTERM)
            os.waitpid(pid, 0)
            raise


def _spawn(arguments: Sequence[str], log: Path, *inherited: int) -> int:
    """Start a process that is meant to outlive this one."""
    for descriptor in inherited:
        os.set_inheritable(descriptor, True)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "localnet", "supervise", *arguments],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _follow(home: Home, report: Iterable[str], tell: Tell) -> None:
    for line in map(str.strip, report):
        if line == UP:
            return
        if line.startswith(BROKEN):
            _, name, why = line.split(" ", 2)
            raise NotUpError(f"{why}\n{_tail(home.log(name))}\nthe whole log: {home.log(name)}")
        tell(line)
    raise NotUpError(f"the supervisor died\n{_tail(home.log('supervisor'))}")


def _arguments(network: Network, only: Sequence[str]) -> list[str]:
    return [
        *("--home", str(network.home.path), "--miners", str(network.miners)),
        *(["--own-docker"] if network.own_docker else []),
        *(word for name in only for word in ("--only", name)),
    ]


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])
