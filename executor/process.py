"""One executor process: connects to the miner, runs one job, removes everything it made."""

import asyncio
import hashlib
import logging
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from compute_horde import startup
from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket, open_socket
from compute_horde.concurrency.task_set import run_until_first
from compute_horde.errors import ConfigurationError, ContainerError
from compute_horde.protocol.links import MINER_TO_EXECUTOR, ToExecutor
from executor.config import Config
from executor.inbox import MinerInbox
from executor.job_context import JobContext
from executor.sandbox import engine_description
from executor.sandbox.container import remove_created
from executor.sandbox.engine import Engine
from executor.sandbox.workdir import WorkDir
from executor.session import Session, job_stages
from executor.stages import check

log = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
CLEANING_SECONDS = 30

DONE = 0
BROKEN = 1
MISCONFIGURED = 2
LOST = 3
STOPPED = 4
# Containers of the job remain; the directory stays too, so that a later cleanup finds them.
UNCLEAN = 5


class LeftBehindError(ContainerError):
    """The container engine did not remove all containers of a job."""


def id_of(token: str) -> str:
    """The public id of an executor, derived from its secret token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def run(config: Config, token: str) -> int:
    """Run one executor; returns the exit code, 0 after an answered job.

    Raises `ConfigurationError` when the work directory cannot be used.
    """
    executor_id = id_of(token)
    try:
        work = WorkDir.make(config.work_dir, executor_id, config.owner)
    except OSError as exc:
        raise ConfigurationError(f"EXECUTOR_WORK_DIR cannot be used: {exc}") from exc
    code = BROKEN
    try:
        code = asyncio.run(_run_until_stopped(config, token, executor_id, work))
    finally:
        # A job that may still run could redirect the removal of its folders.
        if code != UNCLEAN:
            work.remove()
    return code


async def _run_until_stopped(config: Config, token: str, executor_id: str, work: WorkDir) -> int:
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(run_executor(config, token, executor_id, work))

    def stop() -> None:
        # A second signal must not interrupt the cleanup.
        if not running.cancelling():
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        log.info("executor stopped")
        return STOPPED
    except ConnectionLostError as exc:
        log.warning("miner lost", extra={"problem": str(exc)})
        return LOST
    except ConfigurationError as exc:
        log.error("wrong setting", extra={"problem": str(exc)})
        return MISCONFIGURED
    except ContainerError as exc:
        log.warning("container engine lost", extra={"problem": str(exc)})
        return UNCLEAN if isinstance(exc, LeftBehindError) else BROKEN
    return DONE


async def run_executor(config: Config, token: str, executor_id: str, work: WorkDir) -> None:
    """Connect, run the session, clean up.

    Raises `ConnectionLostError` when the miner disconnects early.
    """
    url = f"{config.miner_address.rstrip('/')}/v0.1/executor_interface/{token}"
    described = config.work_dir / engine_description.FILE
    async with await Engine.connect(config.docker_url, described) as engine:
        context = JobContext(
            executor_id, engine, work, await check.with_job_runtime(config, engine)
        )
        try:
            async with AsyncExitStack() as stack:
                socket = await _connect(url, stack)
                startup.ready(executor=executor_id, miner=config.miner_address)
                await _run_session(socket, context)
        finally:
            await _uninterrupted(_clean_up(context))


async def _connect(url: str, stack: AsyncExitStack) -> MessageSocket[ToExecutor]:
    """Connect to the miner, with retries, as it may be just starting.

    Raises `ConnectionLostError` when the last attempt fails.
    """
    for number in range(ATTEMPTS - 1):
        try:
            return await stack.enter_async_context(open_socket(url, MINER_TO_EXECUTOR))
        except ConnectionLostError as exc:
            log.info("miner not reached yet", extra={"problem": str(exc)})
        await asyncio.sleep(FIRST_WAIT_SECONDS * 2**number)
    return await stack.enter_async_context(open_socket(url, MINER_TO_EXECUTOR))


async def _run_session(socket: MessageSocket[ToExecutor], context: JobContext) -> None:
    """Run the session until the job is answered.

    Raises `ConnectionLostError` when the miner disconnects early.
    """
    inbox = MinerInbox(socket)
    await run_until_first(Session(socket, inbox, context, job_stages()).run(), inbox.listen())


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish `work` even when cancelled, and only then raise the cancellation."""
    working = asyncio.create_task(work)
    stopped = False
    while not working.done():
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            stopped = True
    working.result()
    if stopped:
        raise asyncio.CancelledError


async def _clean_up(context: JobContext) -> None:
    """Remove the job's containers and its streaming service, all at the same time.

    Raises `LeftBehindError`, after all have ended, when the engine failed to remove one.
    """
    making = [remove_created(one) for one in context.creating]
    closing = [context.service.close()] if context.service else []
    cleaning = [asyncio.create_task(one) for one in (*making, *closing)]
    if not cleaning:
        return
    done, late = await asyncio.wait(cleaning, timeout=CLEANING_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    failed = next((error for task in done if (error := task.exception())), None)
    if late:
        failed = failed or TimeoutError(f"not done within {CLEANING_SECONDS} s")
    if isinstance(failed, ContainerError | TimeoutError):
        raise LeftBehindError(str(failed)) from failed
    if failed:
        raise failed
