"""Takes executors out of service while the engine fails to remove their containers."""

import asyncio
import logging
from collections.abc import Callable

from compute_horde.concurrency.backoff import Backoff
from compute_horde.errors import ContainerError
from compute_horde.hardware import ExecutorClass
from miner.executors.docker_engine import EXECUTOR, DockerEngine
from miner.executors.manager import executor_id

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0

# Called with the class, the change of the number out of service (+1 or -1), and the reason.
OnService = Callable[[ExecutorClass, int, str], None]


class Quarantine:
    """Removes the containers of ended executors; one that cannot be cleaned is out of service."""

    def __init__(self, on_service: OnService) -> None:
        self._on_service = on_service

    async def clean(
        self, engine: DockerEngine, token: str, executor_class: ExecutorClass, *, is_unclean: bool
    ) -> None:
        """Remove all containers of an executor, trying again until it succeeds.

        `is_unclean` means that the executor failed to do so itself: it is out of service at once,
        and not only after a failure here.
        """
        name, backoff = executor_id(token), Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        reason = f"the container engine did not remove the job of executor {name}"
        is_out = False
        if is_unclean:
            is_out = self._take_out(executor_class, reason)
        try:
            while problem := await _try_removal(engine, name):
                pause = backoff.take()
                log.error(
                    "executor out of service: its containers cannot be removed",
                    extra={"executor": name, "problem": problem, "again_in": pause},
                )
                if not is_out:
                    is_out = self._take_out(executor_class, f"{reason}: {problem}")
                await asyncio.sleep(pause)
        finally:
            if is_out:
                log.warning("executor in service again", extra={"executor": name})
                self._on_service(executor_class, -1, "")

    def _take_out(self, executor_class: ExecutorClass, reason: str) -> bool:
        self._on_service(executor_class, 1, reason)
        return True


async def _try_removal(engine: DockerEngine, name: str) -> str:
    """Why the engine failed to remove all containers of an executor; empty on success."""
    try:
        await engine.remove_all({EXECUTOR: name})
    except ContainerError as exc:
        # Without an engine there are no containers.
        return str(exc) if engine.is_present() else ""
    return ""
