"""Keeps the memory small that the C library holds without using it (glibc)."""

import ctypes

# mallopt(3), `malloc.h`.
M_ARENA_MAX = -8

_libc = ctypes.CDLL(None)


def share_one_arena() -> None:
    """Let all threads allocate from one arena; to be called before there are other threads.

    The library gives each thread an arena of its own, so that threads need not wait for each
    other. Python's threads wait for the interpreter anyway, and what is free in one arena is of no
    use to others. Does nothing where the C library has no arenas.
    """
    limit = getattr(_libc, "mallopt", None)
    if limit:
        limit(M_ARENA_MAX, 1)


def release_unused() -> None:
    """Return freed memory to the system; does nothing where the C library cannot.

    The imports of a start free several MiB, which the library keeps for itself: malloc_trim(3).
    """
    trim = getattr(_libc, "malloc_trim", None)
    if trim:
        trim(0)
