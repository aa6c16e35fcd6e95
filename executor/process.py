"""The life of one executor process: connect, do one job, leave nothing behind."""

import asyncio
import hashlib
import logging
import signal
from contextlib import AsyncExitStack

from compute_horde.adapters.websocket import Line, LineLost, line_to
from compute_horde.errors import ConfigurationError, ContainerError
from compute_horde.protocol.links import MINER_TO_EXECUTOR, ToExecutor
from executor.config import Config
from executor.containers import Engine, removed
from executor.hearing import Hearing
from executor.session import Place, Session
from executor.stages import check
from executor.workdir import WorkDir

log = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
CLEANING_SECONDS = 30

DONE = 0
BROKEN = 1
MISCONFIGURED = 2
LOST = 3
STOPPED = 4
# Something of the job is still there; its directory stays, so that others clean up after us.
UNCLEAN = 5


class LeftBehindError(ContainerError):
    """The engine did not remove all of a job."""


def id_of(token: str) -> str:
    """The name of an executor that may be shown, unlike its token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def run(config: Config, token: str) -> int:
    """The exit code: 0 after an answered job."""
    executor_id = id_of(token)
    try:
        work = WorkDir.make(config.work_dir, executor_id, config.owner)
    except OSError as exc:
        raise ConfigurationError(f"EXECUTOR_WORK_DIR cannot be used: {exc}") from exc
    code = BROKEN
    try:
        code = asyncio.run(_stoppable(config, token, executor_id, work))
    finally:
        # A job that may still run must not see us at work in its folders, and could mislead us.
        if code != UNCLEAN:
            work.remove()
    return code


async def _stoppable(config: Config, token: str, executor_id: str, work: WorkDir) -> int:
    loop = asyncio.get_running_loop()
    living = asyncio.create_task(live(config, token, executor_id, work))

    def stop() -> None:
        # A second signal must not interrupt the cleaning.
        if not living.cancelling():
            living.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await living
    except asyncio.CancelledError:
        log.info("executor stopped")
        return STOPPED
    except LineLost as exc:
        log.warning("miner lost", extra={"problem": str(exc)})
        return LOST
    except ConfigurationError as exc:
        log.error("wrong setting", extra={"problem": str(exc)})
        return MISCONFIGURED
    except ContainerError as exc:
        log.warning("container engine lost", extra={"problem": str(exc)})
        return UNCLEAN if isinstance(exc, LeftBehindError) else BROKEN
    return DONE


async def live(config: Config, token: str, executor_id: str, work: WorkDir) -> None:
    """Connect, converse, clean up; `LineLost` when the miner goes away before the answer."""
    url = f"{config.miner_address.rstrip('/')}/v0.1/executor_interface/{token}"
    async with await Engine.connect(config.docker_url) as engine:
        place = Place(executor_id, engine, work, await check.settled(config, engine))
        try:
            async with AsyncExitStack() as stack:
                await _converse(await _line(url, stack), place)
        finally:
            await _cleaned(place)


async def _line(url: str, stack: AsyncExitStack) -> Line[ToExecutor]:
    """The line to the miner, which may be just starting."""
    for number in range(ATTEMPTS - 1):
        try:
            return await stack.enter_async_context(line_to(url, MINER_TO_EXECUTOR))
        except LineLost as exc:
            log.info("miner not reached yet", extra={"problem": str(exc)})
        await asyncio.sleep(FIRST_WAIT_SECONDS * 2**number)
    return await stack.enter_async_context(line_to(url, MINER_TO_EXECUTOR))


async def _converse(line: Line[ToExecutor], place: Place) -> None:
    """Until the job is answered; `LineLost` when the miner goes away before."""
    hearing = Hearing(line)
    working = asyncio.create_task(Session(line, hearing, place).run())
    listening = asyncio.create_task(hearing.listen())
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        else:
            listening.result()
    finally:
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _cleaned(place: Place) -> None:
    """Kill and delete the job's container, if one was ever asked for, and what served it.

    One that fails does not keep the other from its end; `LeftBehindError` once both are over.
    """
    making = [removed(place.creating)] if place.creating else []
    closing = [place.service.close()] if place.service else []
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
