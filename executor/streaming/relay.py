"""The container beside a streaming job: it shares the job's network and leads out to a file.

The job's network is that of the relay: loopback and nothing else. Only the relay has a door, a
unix socket in a folder that the job does not see. So the job can be asked, but can ask nobody.
"""

from pathlib import Path

from executor.config import Config
from executor.confinement import NOBODY
from executor.containers import EXECUTOR, OWNER, Image, Order
from executor.workdir import OPEN_TO_JOB, WorkDir

SERVICE_PORT = 8000
CONNECTIONS = 128
MEMORY_BYTES = 128 * 2**20


def folder(work: WorkDir) -> Path:
    """Where the relay's socket is to be; open to it alone, since what is above lets nobody in."""
    path = work.path / "relay"
    path.mkdir(exist_ok=True)
    path.chmod(OPEN_TO_JOB)
    return path


def order(image: Image, work: WorkDir, config: Config, *, executor_id: str, uid: int) -> Order:
    """The relay's container; `uid` is the executor's own."""
    listen = f"UNIX-LISTEN:/relay/socket,fork,mode=666,backlog=128,max-children={CONNECTIONS}"
    return Order(
        name=f"ch-{executor_id}-relay",
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
