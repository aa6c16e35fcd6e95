"""What a job's container may and may not do (architecture §9); pure."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from compute_horde.errors import JobError
from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import JobPayload
from compute_horde.vocabulary import FailureReason, GpuPreset
from executor import limits
from executor.config import Config
from executor.containers import EXECUTOR, OWNER, Image, Order
from executor.limits import Limits
from executor.workdir import WorkDir

WRITABLE_ROOT_LABEL = "compute_horde.rootfs"
NOBODY = "65534:65534"
NANO = 10**9
# Where the whole machine is out of memory, the job goes first.
FIRST_TO_GO = 1000
# A file may be this much larger than the disk of a job, whose watch then sees why it ends.
ENOUGH_TO_SEE = 2**20
SCRATCH_PATHS = ("/tmp", "/var/tmp", "/run")  # noqa: S108
FORBIDDEN = ("/proc", "/sys", "/dev")
TAKEN = ("/volume", "/output", "/specs", "/script.py")


def order(
    payload: JobPayload,
    image: Image,
    work: WorkDir,
    config: Config,
    *,
    executor_id: str,
    uid: int,
    network: str = "none",
) -> Order:
    """The container of a job; `uid` is the executor's own, `network` leads nowhere."""
    user = user_of(image, config, uid=uid)
    return Order(
        name=f"ch-{executor_id}-job",
        image=image.id,
        command=payload.docker_run_cmd or _script_command(payload),
        env=environment(payload.env, image, user),
        user=user,
        labels={EXECUTOR: executor_id, OWNER: config.owner},
        host=_host_config(payload, image, work, config) | {"NetworkMode": network},
    )


def _script_command(payload: JobPayload) -> list[str]:
    return [] if payload.raw_script is None else ["python", "/script.py"]


def user_of(image: Image, config: Config, *, uid: int) -> str:
    """Who the job runs as: an executor that is not root could not remove another's files."""
    if config.job_user:
        return config.job_user
    if uid:
        return str(uid)
    return image.user or NOBODY


def environment(asked: Mapping[str, str], image: Image, user: str) -> list[str]:
    """The job's variables, with a home to write to for a user that has none."""
    names = asked.keys() | {entry.split("=", 1)[0] for entry in image.env}
    home = [] if "HOME" in names or user == image.user else ["HOME=/tmp"]
    return [f"{name}={value}" for name, value in asked.items()] + home


def has_writable_root(image: Image, config: Config) -> bool:
    return config.writable_root or image.labels.get(WRITABLE_ROOT_LABEL) == "writable"


def _host_config(
    payload: JobPayload, image: Image, work: WorkDir, config: Config
) -> dict[str, Any]:
    given = limits.of(payload.executor_class, config)
    binds = _binds(payload, work)
    host: dict[str, Any] = {
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": given.pids,
        "Memory": given.memory,
        "MemorySwap": given.memory,
        "OomScoreAdj": FIRST_TO_GO,
        "ShmSize": given.shm,
        "Ulimits": _ulimits(given, config),
        "LogConfig": {"Type": "none", "Config": {}},
        "Binds": [f"{source}:{target}" for target, source in binds.items()],
        "Tmpfs": _tmpfs(image, binds, config, given),
        "ReadonlyRootfs": not has_writable_root(image, config),
    }
    if given.cpus is not None:
        host["NanoCpus"] = int(given.cpus * NANO)
    if config.root_quota and has_writable_root(image, config):
        host["StorageOpt"] = {"size": str(given.disk)}
    return host | _runtime(payload, config)


def _ulimits(given: Limits, config: Config) -> list[dict[str, Any]]:
    """Not of processes, which the kernel counts per user: jobs would disturb each other."""
    most = {"core": 0, "fsize": given.disk + ENOUGH_TO_SEE}
    if config.open_files is not None:
        most["nofile"] = config.open_files
    return [{"Name": name, "Soft": number, "Hard": number} for name, number in most.items()]


def _binds(payload: JobPayload, work: WorkDir) -> dict[str, str]:
    binds = {"/volume": work.volume, "/output": work.output, "/specs": work.specs}
    if payload.artifacts_dir:
        binds[checked_artifacts_dir(payload.artifacts_dir)] = work.artifacts
    if payload.raw_script is not None:
        binds["/script.py"] = work.path / "script.py"
    return {target: str(source) for target, source in binds.items()}


def checked_artifacts_dir(path: str) -> str:
    """The path without a trailing slash; `JobError` for one that cannot be a mount of ours."""
    clean = path.rstrip("/")
    parts = PurePosixPath(path).parts
    if not path.startswith("/") or not clean:
        raise _bad_artifacts_dir(path, "is not an absolute path below /")
    if ".." in parts or ":" in path or "\0" in path or "//" in path:
        raise _bad_artifacts_dir(path, "holds `..`, `//`, a colon or a NUL")
    if clean in TAKEN or any(PurePosixPath(clean).is_relative_to(bad) for bad in FORBIDDEN):
        raise _bad_artifacts_dir(path, "is taken")
    return clean


def _bad_artifacts_dir(path: str, reason: str) -> JobError:
    return JobError(FailureReason.UNKNOWN, f"artifacts_dir {path[:200]!r} {reason}")


def _tmpfs(image: Image, binds: Mapping[str, str], config: Config, given: Limits) -> dict[str, str]:
    """Sized memory file systems where programs expect to write.

    Also in place of the image's own volumes, which would be on disk and without a limit, also
    beside a writable root. The mode is stated, since the engine drops that of a path the image has.
    """
    scratch = () if has_writable_root(image, config) else SCRATCH_PATHS
    options = f"rw,nosuid,nodev,exec,mode=1777,size={given.tmp}"
    paths = [*scratch, *(path.rstrip("/") for path in image.volumes)]
    return {path: options for path in paths if path and path not in binds}


def _runtime(payload: JobPayload, config: Config) -> dict[str, Any]:
    """GPU jobs have a runtime of their own: few of the others can reach a GPU."""
    wants = payload.docker_run_options_preset is GpuPreset.NVIDIA_ALL
    if not (wants and PROMISES[payload.executor_class].gpu):
        return {"Runtime": config.job_runtime} if config.job_runtime else {}
    request = {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
    runtime = {"Runtime": config.gpu_runtime} if config.gpu_runtime else {}
    return runtime | {"DeviceRequests": [request]}
