"""Verifies receipts in processes of their own, since verifying signatures holds the GIL."""

import asyncio
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from compute_horde.platform.parent_death import die_with_parent
from validator.receipts.verification import Expected, Verified, verify_lines


class Verifier:
    """A pool of processes; each is started when it is needed, and all end with this one."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    async def verify(self, lines: bytes, expected: Expected) -> Verified:
        """What `verify_lines` returns; tried once more when a process of the pool was killed."""
        try:
            return await self._submit(lines, expected)
        except BrokenProcessPool:
            return await self._submit(lines, expected)

    def close(self) -> None:
        """End the processes; what they verify now is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _submit(self, lines: bytes, expected: Expected) -> Verified:
        pool, loop = self._pool, asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, verify_lines, lines, expected)
        except BrokenProcessPool:
            if pool is self._pool:
                pool.shutdown(wait=False)
                self._pool = self._new_pool()
            raise

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes,
            # A fork would copy the connections of this process.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(),),
        )


def _begin(parent: int) -> None:
    """Ctrl-C in a terminal reaches all processes; this one ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent, signal.SIGKILL)
