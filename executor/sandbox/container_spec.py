"""Builds the specification of a job's container with its confinement; see docs/sandbox.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compute_horde import mount_paths
from compute_horde.container_names import inspection_container, job_container
from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import JobPayload
from compute_horde.vocabulary import GpuPreset
from executor.config import Config
from executor.sandbox import engine_inputs, resource_limits
from executor.sandbox.engine import EXECUTOR, OWNER, ContainerSpec, Image
from executor.sandbox.engine_faults import not_started
from executor.sandbox.engine_inputs import volumes_of
from executor.sandbox.image_files import Content, ImageFiles
from executor.sandbox.resource_limits import ResourceLimits
from executor.sandbox.workdir import WorkDir

WRITABLE_ROOT_LABEL = "compute_horde.rootfs"
NOBODY = "65534:65534"
NANO = 10**9
# When the whole machine is out of memory, the kernel kills the job first.
OOM_SCORE_ADJ = 1000
# A file may exceed the job's disk limit by this many bytes, so that the disk monitor can see why
# the job fails.
FILE_SIZE_MARGIN = 2**20
# Variables by which the dynamic loader and the C library load code or write files
# (`LD_DEBUG_OUTPUT`).
LOADER = ("LD_", "GCONV_PATH", "GLIBC_TUNABLES")
SCRATCH_PATHS = ("/tmp", "/var/tmp", "/run")  # noqa: S108
NO_FILES = ImageFiles()
NVIDIA = "nvidia"


def job_container_spec(
    payload: JobPayload,
    image: Image,
    work: WorkDir,
    config: Config,
    *,
    executor_id: str,
    uid: int,
    network: str = "none",
    files: ImageFiles = NO_FILES,
) -> ContainerSpec:
    """The container of a job.

    `uid` is the executor's own, `network` the engine's network mode, `files` describes the image's
    files, whose contents are in `work` already. Raises `JobError` for an invalid request.
    """
    user = user_of(image, config, uid=uid)
    command = payload.docker_run_cmd or _script_command(payload)
    engine_inputs.check(image, command, payload.env, user=user)
    return ContainerSpec(
        name=job_container(executor_id),
        image=image.id,
        command=command,
        env=environment(payload.env, image, user) + without_loader(payload, image, config),
        user=user,
        labels={EXECUTOR: executor_id, OWNER: config.owner},
        host=_host_config(payload, image, work, config, files, user) | {"NetworkMode": network},
    )


def inspection_container_spec(image: Image, config: Config, *, executor_id: str) -> ContainerSpec:
    """A container that is never started, in which the image's files can be read.

    Its volumes are memory file systems; otherwise the engine would copy their content to its disk.
    """
    return ContainerSpec(
        name=inspection_container(executor_id),
        image=image.id,
        command=["-"],
        env=[],
        user="",
        labels={EXECUTOR: executor_id, OWNER: config.owner},
        host={"NetworkMode": "none", "Tmpfs": dict.fromkeys(volumes_of(image), "")},
    )


def hidden_paths(image: Image) -> tuple[str, ...]:
    """Paths where a job gets file systems of its own, which hide the image's files."""
    return tuple(dict.fromkeys((*SCRATCH_PATHS, *volumes_of(image))))


def _script_command(payload: JobPayload) -> list[str]:
    return [] if payload.raw_script is None else ["python", "/script.py"]


def user_of(image: Image, config: Config, *, uid: int) -> str:
    """The user of the job; an executor that is not root must own its files to remove them."""
    if config.job_user:
        return config.job_user
    if uid:
        return str(uid)
    return image.user or NOBODY


def environment(asked: Mapping[str, str], image: Image, user: str) -> list[str]:
    """The job's variables, with a writable HOME for a user other than the image's."""
    names = asked.keys() | {entry.split("=", 1)[0] for entry in image.env}
    home = [] if "HOME" in names or user == image.user else ["HOME=/tmp"]
    return [f"{name}={value}" for name, value in asked.items()] + home


def without_loader(payload: JobPayload, image: Image, config: Config) -> list[str]:
    """Empty values for the image's loader variables, for a job that uses NVIDIA's runtime.

    That runtime runs hooks of the machine with the job's environment. Raises `JobError` when the
    job itself sets a loader variable.
    """
    if not _is_given_gpus(payload) and NVIDIA not in config.job_runtime.lower():
        return []
    if asked := [name for name, value in payload.env.items() if _is_loaders(name) and value]:
        text = f"a GPU job may not set {asked[0]} in its environment; set it in its command"
        raise not_started(text)
    names = dict.fromkeys(entry.split("=", 1)[0] for entry in image.env)
    return [f"{name}=" for name in names if _is_loaders(name) and name not in payload.env]


def _is_loaders(name: str) -> bool:
    return name.startswith(LOADER)


def has_writable_root(image: Image, config: Config) -> bool:
    return config.writable_root or image.labels.get(WRITABLE_ROOT_LABEL) == "writable"


def _host_config(
    payload: JobPayload,
    image: Image,
    work: WorkDir,
    config: Config,
    files: ImageFiles,
    user: str,
) -> dict[str, Any]:
    given = resource_limits.for_class(payload.executor_class, config)
    contents = contents_on_disk(image, config, files, user)
    binds = {one.path: str(folder) for one, folder in content_folders(work, contents)}
    binds |= _binds(payload, work)
    host: dict[str, Any] = {
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": given.pids,
        "Memory": given.memory,
        "MemorySwap": given.memory,
        "OomScoreAdj": OOM_SCORE_ADJ,
        "ShmSize": given.shm,
        "Ulimits": _ulimits(given, config),
        "LogConfig": {"Type": "none", "Config": {}},
        "Binds": [f"{source}:{target}" for target, source in binds.items()],
        "Tmpfs": _tmpfs(image, binds, config, given, _owners(files, user)),
        "ReadonlyRootfs": not has_writable_root(image, config),
    }
    if given.cpus is not None:
        host["NanoCpus"] = int(given.cpus * NANO)
    if config.root_quota and has_writable_root(image, config):
        host["StorageOpt"] = {"size": str(given.disk)}
    return host | _runtime(payload, config)


def _ulimits(given: ResourceLimits, config: Config) -> list[dict[str, Any]]:
    """Limits per process; none on processes, which the kernel counts per user over all jobs."""
    most = {"core": 0, "fsize": given.disk + FILE_SIZE_MARGIN}
    if config.open_files is not None:
        most["nofile"] = config.open_files
    return [{"Name": name, "Soft": number, "Hard": number} for name, number in most.items()]


def contents_on_disk(
    image: Image, config: Config, files: ImageFiles, user: str
) -> tuple[Content, ...]:
    """The contents of the image that must be copied to disk for its job."""
    hidden = _tmpfs_paths(image, config)
    return tuple(one for one in files.contents if one.path in hidden and one.needs_disk(user))


def content_folders(work: WorkDir, contents: Sequence[Content]) -> list[tuple[Content, Path]]:
    """The folder in `work` of each of `contents`."""
    return [(one, work.image_content / str(n)) for n, one in enumerate(contents)]


def _owners(files: ImageFiles, user: str) -> dict[str, str]:
    """Owners of the memory file systems that replace folders of the image, by path."""
    number = user.partition(":")[0]
    return {one.path: number for one in files.contents if number.isdecimal()}


def _binds(payload: JobPayload, work: WorkDir) -> dict[str, str]:
    binds = {"/volume": work.volume, "/output": work.output, "/specs": work.specs}
    if payload.artifacts_dir:
        binds[checked_artifacts_dir(payload.artifacts_dir)] = work.artifacts
    if payload.raw_script is not None:
        binds["/script.py"] = work.path / "script.py"
    return {target: str(source) for target, source in binds.items()}


def checked_artifacts_dir(path: str) -> str:
    """The path without a trailing slash; raises `JobError` for one that cannot be mounted."""
    if why := mount_paths.artifacts_dir_problem(path):
        raise not_started(f"artifacts_dir {path[:200]!r} {why}")
    return mount_paths.normalized(path)


def _tmpfs(
    image: Image,
    binds: Mapping[str, str],
    config: Config,
    given: ResourceLimits,
    owners: Mapping[str, str],
) -> dict[str, str]:
    """Memory file systems with a size limit where programs expect to write.

    They also replace the image's volumes, which would be on disk without a limit.
    """
    options = f"rw,nosuid,nodev,exec,mode=1777,size={given.tmp}"
    return {
        path: f"{options},uid={owners[path]}" if path in owners else options
        for path in _tmpfs_paths(image, config)
        if path not in binds
    }


def _tmpfs_paths(image: Image, config: Config) -> tuple[str, ...]:
    return volumes_of(image) if has_writable_root(image, config) else hidden_paths(image)


def _is_given_gpus(payload: JobPayload) -> bool:
    wants = payload.docker_run_options_preset is GpuPreset.NVIDIA_ALL
    return wants and PROMISES[payload.executor_class].gpu


def _runtime(payload: JobPayload, config: Config) -> dict[str, Any]:
    """The runtime settings; GPU jobs use `gpu_runtime`, as few other runtimes can reach a GPU."""
    if not _is_given_gpus(payload):
        return {"Runtime": config.job_runtime} if config.job_runtime else {}
    request = {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
    runtime = {"Runtime": config.gpu_runtime} if config.gpu_runtime else {}
    return runtime | {"DeviceRequests": [request]}
