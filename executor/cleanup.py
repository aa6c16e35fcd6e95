"""Removes what executors left that ended abnormally: containers first, then directories."""

import asyncio
import logging

from compute_horde.errors import ContainerError
from executor.config import Config
from executor.sandbox import workdir
from executor.sandbox.engine import EXECUTOR, OWNER, Engine

log = logging.getLogger(__name__)

DONE = 0
FAILED = 1


def has_directory(config: Config, executor_id: str) -> bool:
    """Whether an executor's work directory exists; a clean exit removes it as the last step."""
    return (config.work_dir / f"ch-{executor_id}").exists()


def one_executor(config: Config, executor_id: str) -> int:
    """Clean up after one executor unless it is running; returns an exit code."""
    return asyncio.run(clean_up(config, [executor_id]))


def all_with_directory(config: Config) -> int:
    """Clean up after the ended executors of this owner that left a directory.

    Unlike `all_ended`, safe while an executor starts in a container of its own: that container
    is labelled before the executor's directory exists.
    """
    return asyncio.run(clean_up(config, list(workdir.abandoned(config.work_dir, config.owner))))


def all_ended(config: Config) -> int:
    """Clean up after all ended executors of this owner, such as those of an earlier miner."""
    left = list(workdir.abandoned(config.work_dir, config.owner))
    return asyncio.run(clean_up(config, left, everything=True))


async def clean_up(config: Config, left: list[str], *, everything: bool = False) -> int:
    """Clean up after these executors; with `everything`, after all ended ones of this owner.

    Returns an exit code: `FAILED` when the container engine refuses or does not answer.
    """
    try:
        async with await Engine.connect(config.docker_url) as engine:
            # Without an owner label, containers of other miners look the same as ours.
            if everything and config.owner:
                left = left + await _containers_without_executor(engine, config)
            for executor_id in dict.fromkeys(left):
                await _remove(engine, config, executor_id)
    except ContainerError as exc:
        log.warning("leftovers could not be removed", extra={"problem": str(exc)})
        return FAILED
    return DONE


async def _containers_without_executor(engine: Engine, config: Config) -> list[str]:
    """Ids of executors of this owner that have a container but no directory."""
    executors = (await engine.labelled(OWNER, config.owner)).values()
    return [one for one in executors if one and not has_directory(config, one)]


async def _remove(engine: Engine, config: Config, executor_id: str) -> None:
    path = config.work_dir / f"ch-{executor_id}"
    if workdir.is_alive(path):
        return
    removed = await engine.remove(label=EXECUTOR, value=executor_id)
    if path.exists():
        workdir.remove(path)
    log.info("cleaned up", extra={"executor": executor_id, "containers": removed})
