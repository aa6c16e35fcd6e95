"""Ends a child process with its parent (Linux)."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Get the signal `number` when the process `parent` dies, even by SIGKILL.

    When it is dead already, at once. `parent` is a process id. Raises `OSError` when the kernel
    refuses (prctl(2), PR_SET_PDEATHSIG).
    """
    if _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
