"""Removes what dead executors left: their containers, then their directories."""

import asyncio
import logging

from compute_horde.errors import ContainerError
from executor import workdir
from executor.config import Config
from executor.containers import EXECUTOR, OWNER, Engine

log = logging.getLogger(__name__)

DONE = 0
FAILED = 1


def is_left(config: Config, executor_id: str) -> bool:
    """Whether an executor's directory is there: a living one removes it last of all."""
    return (config.work_dir / f"ch-{executor_id}").exists()


def one(config: Config, executor_id: str) -> int:
    """Clean up after one executor, unless it lives; an exit code."""
    return asyncio.run(swept(config, [executor_id]))


def directories(config: Config) -> int:
    """Clean up after those dead executors of this owner that left a directory.

    Safe where an executor is a container that is labelled before its directory is there.
    """
    return asyncio.run(swept(config, list(workdir.abandoned(config.work_dir, config.owner))))


def abandoned(config: Config) -> int:
    """Clean up after all dead executors of this owner, such as those of an earlier miner."""
    left = list(workdir.abandoned(config.work_dir, config.owner))
    return asyncio.run(swept(config, left, everything=True))


async def swept(config: Config, left: list[str], *, everything: bool = False) -> int:
    """Clean up after these executors, and with `everything` after all of this owner."""
    try:
        async with await Engine.connect(config.docker_url) as engine:
            # Without an owner, nobody can tell ours from another's.
            if everything and config.owner:
                left = left + await _containers_without_executor(engine, config)
            for executor_id in dict.fromkeys(left):
                await _remove(engine, config, executor_id)
    except ContainerError as exc:
        log.warning("leftovers stay", extra={"problem": str(exc)})
        return FAILED
    return DONE


async def _containers_without_executor(engine: Engine, config: Config) -> list[str]:
    """Executors of this owner whose container is still there but whose directory is not."""
    executors = (await engine.labelled(OWNER, config.owner)).values()
    return [one for one in executors if one and not is_left(config, one)]


async def _remove(engine: Engine, config: Config, executor_id: str) -> None:
    path = config.work_dir / f"ch-{executor_id}"
    if workdir.is_alive(path):
        return
    removed = await engine.remove(label=EXECUTOR, value=executor_id)
    if path.exists():
        workdir.remove(path)
    log.info("cleaned up", extra={"executor": executor_id, "containers": removed})
