"""Starts and stops a network from outside its supervisor."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from signal import SIGTERM

import psutil

from localnet import docker_engine, images, postgres
from localnet.network_dir import NetworkDir, write_atomically
from localnet.process_table import Network, check_names, env_lines
from localnet.supervisor import orphans, state_file
from localnet.supervisor.daemon import BROKEN, UP

_DOWN_WITHIN_SECONDS = 60
_TAIL_LINES = 15

OnProgress = Callable[[str], None]


class NotUpError(Exception):
    """The network could not be started; the message has the reason and the end of a log."""


def up(
    network_dir: NetworkDir,
    *,
    miners: int = 1,
    has_trusted_miner: bool = False,
    only: Sequence[str] = (),
    on_progress: OnProgress,
    attached: bool = False,
) -> None:
    """Start the network, or the processes `only` with their dependencies; return when it is ready.

    `on_progress` gets one line for each step. An attached network ends with the calling process.
    Raises `NotUpError`, `UnknownProcessError`, `NoDockerError`, `NoImageError` and `AptError`.
    """
    try:
        lock = state_file.lock(network_dir)
    except BlockingIOError:
        on_progress("the network is already up")
        return
    with lock:
        for name in orphans.terminate(network_dir):
            on_progress(f"ended the orphaned process {name}")
        for name in network_dir.release_busy_ports():
            on_progress(f"the port of {name} is in use, so another one was chosen")
        network = prepare(
            network_dir,
            miners=miners,
            has_trusted_miner=has_trusted_miner,
            only=only,
            on_progress=on_progress,
        )
        arguments = [*_arguments(network, only), *(["--attached"] if attached else [])]
        _supervise(network_dir, arguments, lock.fileno(), on_progress)


def down(network_dir: NetworkDir) -> bool:
    """Stop the network; its data, keys and logs stay. False if nothing was running."""
    running = state_file.supervisor(network_dir)
    if running:
        running.terminate()
        try:
            running.wait(_DOWN_WITHIN_SECONDS)
        except psutil.TimeoutExpired:
            running.kill()
    return bool(orphans.terminate(network_dir)) or running is not None


def prepare(
    network_dir: NetworkDir,
    *,
    miners: int,
    has_trusted_miner: bool = False,
    only: Sequence[str],
    on_progress: OnProgress,
) -> Network:
    """Prepare what must exist before the processes start: database, images, the file `env`.

    Raises `UnknownProcessError` for a name that is not in the table.
    """
    check_names(Network(network_dir, miners, True, has_trusted_miner), only)
    postgres.prepare(network_dir)
    has_own_docker = False
    if not only or any(name.startswith(("docker", "miner")) for name in only):
        on_progress("looking for a Docker engine")
        has_own_docker = docker_engine.prepare()
        images.static_busybox()
        if not has_own_docker:
            images.build()
    network = Network(network_dir, miners, has_own_docker, has_trusted_miner)
    lines = [f"{name}={value}\n" for name, value in env_lines(network).items()]
    write_atomically(network_dir.env_file, "".join(lines), mode=0o600)
    return network


def _supervise(
    network_dir: NetworkDir, arguments: Sequence[str], lock: int, on_progress: OnProgress
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as report:
        pid = _spawn(
            ["--report", str(writing), *arguments], network_dir.log("supervisor"), writing, lock
        )
        os.close(writing)
        try:
            _wait_until_up(network_dir, report, on_progress)
        except BaseException:
            os.kill(pid, SIGTERM)
            os.waitpid(pid, 0)
            raise


def _spawn(arguments: Sequence[str], log: Path, *inherited: int) -> int:
    """Start `python -m localnet supervise` in a session of its own; its pid."""
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


def _wait_until_up(network_dir: NetworkDir, report: Iterable[str], on_progress: OnProgress) -> None:
    for line in map(str.strip, report):
        if line == UP:
            return
        if line.startswith(BROKEN):
            _, name, reason = line.split(" ", 2)
            raise NotUpError(
                f"{reason}\n{_tail(network_dir.log(name))}\nthe full log: {network_dir.log(name)}"
            )
        on_progress(line)
    raise NotUpError(f"the supervisor ended unexpectedly\n{_tail(network_dir.log('supervisor'))}")


def _arguments(network: Network, only: Sequence[str]) -> list[str]:
    return [
        *("--home", str(network.directory.path), "--miners", str(network.miners)),
        *(["--own-docker"] if network.has_own_docker else []),
        *(["--trusted-miner"] if network.has_trusted_miner else []),
        *(argument for name in only for argument in ("--only", name)),
    ]


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])
