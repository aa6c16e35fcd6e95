"""Calls SkyPilot, an optional package; its calls block, so they run in threads."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from compute_horde_sdk.fallback import script
from compute_horde_sdk.fallback.errors import FallbackError, FallbackNotFoundError
from compute_horde_sdk.fallback.spec import FallbackJobSpec
from compute_horde_sdk.job_status import ComputeHordeJobStatus as Status

# SkyPilot's job statuses and the statuses shown for them.
STATES = {
    "INIT": Status.ACCEPTED,
    "PENDING": Status.ACCEPTED,
    "SETTING_UP": Status.EXECUTOR_READY,
    "RUNNING": Status.VOLUMES_READY,
    "SUCCEEDED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "FAILED_SETUP": Status.FAILED,
    "FAILED_DRIVER": Status.HORDE_FAILED,
    "CANCELLED": Status.REJECTED,
}
PREFIX = "ch-"


def installed() -> Any:
    """The module `sky`; raises `FallbackError` with what to install."""
    try:
        return import_module("sky")
    except ImportError as exc:
        raise FallbackError(
            "the fallback runs jobs through SkyPilot, which is not installed: "
            "pip install 'skypilot[<cloud>]>=0.9', for instance 'skypilot[runpod]>=0.9', then "
            "`sky check` says whether it may use your cloud account"
        ) from exc


async def launch(
    cloud: str, uuid: str, spec: FallbackJobSpec, idle_minutes: int, options: dict[str, Any]
) -> None:
    """Start a machine for the job, released after `idle_minutes` without work."""
    sky = installed()

    def start() -> None:
        resources = sky.Resources(
            cloud=sky.CLOUD_REGISTRY.from_str(cloud),
            cpus=spec.cpus,
            memory=spec.memory,
            accelerators=_as_dict(spec.accelerators),
            disk_size=spec.disk_size,
            ports=spec.ports if isinstance(spec.ports, int | str | None) else list(spec.ports),
            instance_type=spec.instance_type,
            image_id=spec.image_id,
            region=spec.region,
            zone=spec.zone,
            **options,
        )
        task = sky.Task(
            name=PREFIX + "job",
            setup=script.setup(spec),
            run=script.run(spec),
            envs=dict(spec.envs or {}),
        )
        task.set_resources(resources)
        request = sky.launch(
            task,
            cluster_name=PREFIX + uuid,
            idle_minutes_to_autostop=idle_minutes,
            down=True,
        )
        sky.get(request)

    await asyncio.to_thread(start)


def _as_dict(value: str | Mapping[str, int] | None) -> str | dict[str, int] | None:
    return value if value is None or isinstance(value, str) else dict(value)


async def status(uuid: str) -> Status:
    """The job's present status; raises `FallbackNotFoundError` when there is none."""
    sky = installed()
    states = await _call(sky, uuid, lambda: sky.get(sky.job_status(PREFIX + uuid)))
    state = next(iter(states.values()), None)
    if state is None:
        raise FallbackNotFoundError(f"there is no job on the machine of {uuid}")
    return STATES.get(state.name, Status.ACCEPTED)


async def log(uuid: str) -> str:
    """The log of the job's machine."""
    sky = installed()
    folders = await _call(sky, uuid, lambda: sky.download_logs(PREFIX + uuid, None))
    return await asyncio.to_thread(_read, folders.values())


def _read(folders: Iterable[str]) -> str:
    files = (Path(folder).expanduser() / "run.log" for folder in folders)
    return "\n".join(file.read_text(errors="replace") for file in files if file.exists())


async def uuids() -> list[str]:
    """The uuids of the jobs whose machines still exist."""
    sky = installed()
    clusters = await asyncio.to_thread(lambda: sky.get(sky.status()))
    names = [cluster["name"] for cluster in clusters]
    return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]


async def down(uuid: str) -> None:
    """Release the job's machine."""
    sky = installed()
    await _call(sky, uuid, lambda: sky.get(sky.down(PREFIX + uuid)))


async def _call(sky: Any, uuid: str, call: Callable[[], Any]) -> Any:
    try:
        return await asyncio.to_thread(call)
    except sky.exceptions.ClusterDoesNotExist as exc:
        raise FallbackNotFoundError(
            f"job {uuid} has no machine: it never had one, or was idle for too long"
        ) from exc
