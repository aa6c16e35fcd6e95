"""The supervisor as a process of its own: it outlives the command that started it."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from localnet import state
from localnet.home import Home
from localnet.keeper import Keeper, NeverReadyError, Process, State
from localnet.processes import Supervisor

log = logging.getLogger(__name__)

# The last line of the report; before it, one line for each process that becomes ready.
UP = "up"
BROKEN = "broken"


async def supervise(home: Home, processes: Sequence[Process], report: TextIO) -> None:
    """Start all, tell how it went, keep them running until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    def changed(keeper: Keeper) -> None:
        state.write(home, supervisor.keepers.values())
        if keeper.state in (State.READY, State.DONE) and not report.closed:
            _tell(report, f"{keeper.process.name} {keeper.state}")

    supervisor = Supervisor(processes, home.log, changed)
    started = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            await started
            _tell(report, UP)
            report.close()
            await stopped
    except NeverReadyError as error:
        log.error("gave up", extra={"supervised": error.name})
        await supervisor.stop()
        _tell(report, f"{BROKEN} {error.name} {error}")
    finally:
        started.cancel()
        await supervisor.stop()
        with suppress(asyncio.CancelledError, NeverReadyError):
            await started


def _tell(report: TextIO, line: str) -> None:
    # Whoever started us may have gone away meanwhile.
    with suppress(BrokenPipeError, ValueError):
        report.write(line + "\n")
        report.flush()


def claim(home: Home) -> None:
    """From now on this process is the one to ask when the home must be stopped."""
    state.claim(home, os.getpid())
