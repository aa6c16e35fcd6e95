"""Verification in other processes."""

import asyncio
import signal

import psutil

from tests.validator.receipts.published import expected, line
from validator.receipts.verifier import Verifier


def workers() -> list[psutil.Process]:
    """The processes of pools of this test, without multiprocessing's resource tracker."""
    children = psutil.Process().children()
    return [one for one in children if "spawn_main" in " ".join(one.cmdline())]


async def test_lines_are_verified_in_another_process() -> None:
    before, verifier = set(workers()), Verifier(1)
    try:
        verified = await verifier.verify(line() + b"junk\n", expected())
        assert (len(verified.receipts), verified.problems.total()) == (1, 1)
        (worker,) = set(workers()) - before
    finally:
        verifier.close()
    assert not worker.is_running()


async def test_a_killed_process_is_replaced_and_nothing_is_lost() -> None:
    before, verifier = set(workers()), Verifier(1)
    try:
        await verifier.verify(line(), expected())
        (worker,) = set(workers()) - before
        worker.send_signal(signal.SIGKILL)
        results = await asyncio.gather(*(verifier.verify(line(), expected()) for _ in range(3)))
        assert [len(one.receipts) for one in results] == [1, 1, 1]
    finally:
        verifier.close()


async def test_processes_ignore_ctrl_c() -> None:
    """A terminal sends it to all processes; the parent decides when they end."""
    before, verifier = set(workers()), Verifier(1)
    try:
        await verifier.verify(line(), expected())
        (worker,) = set(workers()) - before
        worker.send_signal(signal.SIGINT)
        assert len((await verifier.verify(line(), expected())).receipts) == 1
        assert set(workers()) - before == {worker}
    finally:
        verifier.close()
