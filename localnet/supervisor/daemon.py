"""Runs the supervisor as a daemon, which outlives the command that started it."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file
from localnet.supervisor.supervised_process import (
    NeverReadyError,
    ProcessSpec,
    ProcessState,
    SupervisedProcess,
)
from localnet.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)

# The last line of the report begins with one of these; each line before it names a process that
# became ready.
UP = "up"
BROKEN = "broken"


async def supervise(
    network_dir: NetworkDir, processes: Sequence[ProcessSpec], report: TextIO
) -> None:
    """Start the processes, report their progress, keep them running until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    def on_change(supervised: SupervisedProcess) -> None:
        state_file.write(network_dir, supervisor.processes.values())
        if supervised.state in (ProcessState.READY, ProcessState.DONE) and not report.closed:
            _write_line(report, f"{supervised.spec.name} {supervised.state}")

    supervisor = Supervisor(processes, network_dir.log, on_change)
    started = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            await started
            _write_line(report, UP)
            # Closing flushes once more what could not be written.
            with suppress(BrokenPipeError):
                report.close()
            await stopped
    except NeverReadyError as error:
        log.error("network not started", extra={"supervised": error.name})
        await supervisor.stop()
        _write_line(report, f"{BROKEN} {error.name} {error}")
    finally:
        started.cancel()
        await supervisor.stop()
        with suppress(asyncio.CancelledError, NeverReadyError):
            await started


def _write_line(report: TextIO, line: str) -> None:
    # The command that reads the report may have ended.
    with suppress(BrokenPipeError, ValueError):
        report.write(line + "\n")
        report.flush()


def claim(network_dir: NetworkDir) -> None:
    """Record this process as the supervisor of the network, for `state_file.supervisor`."""
    state_file.claim(network_dir, os.getpid())
