"""The relay container of a streaming job: it forwards a unix socket to the job's port.

The job shares the relay's network namespace, which has only a loopback device. The unix socket is
in a folder that the job does not see, so the job can be reached but can reach nobody.
"""

from pathlib import Path

from compute_horde.container_names import relay_container
from executor.config import Config
from executor.sandbox.container_spec import NOBODY
from executor.sandbox.engine import EXECUTOR, OWNER, ContainerSpec, Image
from executor.sandbox.workdir import OPEN_TO_JOB, WorkDir

SERVICE_PORT = 8000
CONNECTIONS = 128
MEMORY_BYTES = 128 * 2**20


def folder(work: WorkDir) -> Path:
    """The folder of the relay's socket: writable by all, but only the executor can get to it."""
    path = work.path / "relay"
    path.mkdir(exist_ok=True)
    path.chmod(OPEN_TO_JOB)
    return path


def relay_container_spec(
    image: Image, work: WorkDir, config: Config, *, executor_id: str, uid: int
) -> ContainerSpec:
    """The relay's container; `uid` is the executor's own."""
    listen = f"UNIX-LISTEN:/relay/socket,fork,mode=666,backlog=128,max-children={CONNECTIONS}"
    return ContainerSpec(
        name=relay_container(executor_id),
        image=image.id,
        command=[listen, f"TCP4:127.0.0.1:{SERVICE_PORT},nodelay"],
        env=[],
        user=str(uid) if uid else NOBODY,
        labels={EXECUTOR: executor_id, OWNER: config.owner},
        host={
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 2 * CONNECTIONS,
            "Memory": MEMORY_BYTES,
            "MemorySwap": MEMORY_BYTES,
            "LogConfig": {"Type": "none", "Config": {}},
            "Binds": [f"{folder(work)}:/relay"],
            "ReadonlyRootfs": True,
        },
    )


def network(relay_id: str) -> str:
    """The job's network mode."""
    return f"container:{relay_id}"
