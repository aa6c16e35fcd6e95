"""Starts and stops executors; extend `ExecutorManager` to run them elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass

BUILT_IN = {
    "local": "miner.executors.local_manager:LocalManager",
    "docker": "miner.executors.docker_manager:DockerManager",
}

# The exit code of an executor that could not remove everything of its job.
UNCLEAN = 5

OnExit = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """The settings of the miner that managers use."""

    miner_address: str
    owner: str
    counts: Mapping[ExecutorClass, int] = field(default_factory=dict)
    work_dir: Path = Path("/var/tmp/compute_horde")  # noqa: S108
    docker_socket: Path = Path("/var/run/docker.sock")
    docker_servers: Path | None = None
    executor_image: str = ""
    executor_address: str | None = None


def executor_id(token: str) -> str:
    """The name of an executor in logs, containers and directories; does not reveal the token.

    Its job container carries the label `compute_horde.executor=<executor_id>`.
    """
    return sha256(token.encode()).hexdigest()[:16]


class ExecutorManager:
    """Starts executors and reports when one has ended.

    Extend it and set `MINER_EXECUTOR_MANAGER=your.module:YourManager`. The miner keeps one started
    executor per slot of `manifest()` and starts a new one with a fresh token after each job; the
    executor connects to `<miner_address>/v0.1/executor_interface/<token>`. All methods
    run in the miner's event loop and must not block it.
    """

    # Whether the next executor may be started while the previous one still runs its job: the next
    # job does not wait for the start, but the machine must have room for both.
    overlaps = False

    def __init__(self, setting: ManagerSettings, on_exit: OnExit) -> None:
        """The manager calls `on_exit(token, how)` once for each executor that ended."""
        self.setting = setting
        self.on_exit = on_exit
        # Set by the pool. The manager calls it with (class, 1, reason) when an ended executor
        # leaves its slot out of service, and with (class, -1, "") when the slot can be used again.
        self.on_service: Callable[[ExecutorClass, int, str], None] = _ignore

    def manifest(self) -> Mapping[ExecutorClass, int]:
        """How many executors of each class this miner offers."""
        return self.setting.counts

    async def check(self) -> None:
        """Raise `ConfigurationError` if no executor can be started with these settings.

        Called before `open`; after an error the miner does not start.
        """

    async def open(self) -> None:
        """Prepare to start executors; remove what an earlier process of this miner left behind."""

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Start one executor, without waiting for it to connect; `OutsideError` on failure."""
        raise NotImplementedError

    async def kill(self, token: str) -> None:
        """Kill an executor and its job container, and clean up; does nothing if it has ended."""
        raise NotImplementedError

    def public_address(self, token: str) -> str | None:
        """Where users reach this executor's streaming job; None: the address it connects from."""
        del token
        return self.setting.executor_address

    async def close(self) -> None:
        """Stop all executors."""


def _ignore(executor_class: ExecutorClass, change: int, reason: str) -> None:
    """The initial `on_service`, which does nothing."""


def load(path: str) -> Callable[[ManagerSettings, OnExit], ExecutorManager]:
    """The manager class named by `local`, `docker` or `module:Class`."""
    module, _, name = BUILT_IN.get(path, path).partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError(
            f"MINER_EXECUTOR_MANAGER={path!r}: {exc}; write local, docker or module:Class"
        ) from exc
    if not (isinstance(found, type) and issubclass(found, ExecutorManager)):
        raise ConfigurationError(
            f"MINER_EXECUTOR_MANAGER={path!r} is not a subclass of {ExecutorManager.__name__}"
        )
    return found
