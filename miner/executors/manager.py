"""How executors are started and stopped: the class to extend for machines of your own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass

BUILT_IN = {
    "local": "miner.executors.local:LocalManager",
    "docker": "miner.executors.containers:DockerManager",
}

OnExit = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a manager needs to know of its miner."""

    miner_address: str
    owner: str
    counts: Mapping[ExecutorClass, int] = field(default_factory=dict)
    work_dir: Path = Path("/var/tmp/compute_horde")  # noqa: S108
    docker_socket: Path = Path("/var/run/docker.sock")
    docker_servers: Path | None = None
    executor_image: str = ""
    executor_address: str | None = None


def executor_id(token: str) -> str:
    """What an executor is called in logs, container names and folders; tells nothing of the token.

    Its job container carries the label `compute_horde.executor=<executor_id>`.
    """
    return sha256(token.encode()).hexdigest()[:16]


class ExecutorManager:
    """Starts executors where they belong and says when one is gone.

    Extend it and set `MINER_EXECUTOR_MANAGER=your.module:YourManager`. The miner keeps one started
    executor per slot of `manifest()` and asks for a new one with a fresh token after each job; the
    executor connects by itself to `<miner_address>/v0.1/executor_interface/<token>`. All methods
    run in the miner's event loop and must not block it.
    """

    # Whether the next executor may be started while the last one still works: it saves the next
    # job the start, and takes room for one more executor per job.
    overlaps = False

    def __init__(self, setting: Setting, on_exit: OnExit) -> None:
        """`on_exit(token, how)` is to be called once for each executor that ended."""
        self.setting = setting
        self.on_exit = on_exit

    def manifest(self) -> Mapping[ExecutorClass, int]:
        """How many executors of each class this miner offers."""
        return self.setting.counts

    async def open(self) -> None:
        """Get ready; remove what an earlier life of this miner left behind."""

    async def start(self, token: str, executor_class: ExecutorClass) -> None:
        """Start one executor; return once it is under way. `OutsideError` when that fails."""
        raise NotImplementedError

    async def kill(self, token: str) -> None:
        """End an executor and its job container now, and clean up; harmless when it is gone."""
        raise NotImplementedError

    def public_address(self, token: str) -> str | None:
        """Where users reach a streaming job of this executor; None: where it connects from."""
        del token
        return self.setting.executor_address

    async def close(self) -> None:
        """End all executors."""


def load(path: str) -> Callable[[Setting, OnExit], ExecutorManager]:
    """The manager class behind `local`, `docker` or `module:Class`."""
    module, _, name = BUILT_IN.get(path, path).partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError(
            f"MINER_EXECUTOR_MANAGER={path!r}: {exc}; write local, docker or module:Class"
        ) from exc
    if not (isinstance(found, type) and issubclass(found, ExecutorManager)):
        raise ConfigurationError(
            f"MINER_EXECUTOR_MANAGER={path!r} is no {ExecutorManager.__name__}; extend that class"
        )
    return found
