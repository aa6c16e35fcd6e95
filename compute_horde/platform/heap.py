"""Keeps the memory small that the C library holds without using it (glibc)."""

import ctypes

# mallopt(3), `malloc.h`.
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
LARGE_BYTES = 2**20

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


def return_large_blocks() -> None:
    """Let blocks of `LARGE_BYTES` and more go back to the system when they are freed.

    The library maps large blocks apart, but counts as large only what is larger than any that was
    freed before: after one frame of 16 MiB all others would be cut from the heap, which shrinks
    only when nothing above them is in use.
    """
    limit = getattr(_libc, "mallopt", None)
    if limit:
        limit(M_MMAP_THRESHOLD, LARGE_BYTES)


def release_unused() -> None:
    """Return freed memory to the system; does nothing where the C library cannot.

    The imports of a start free several MiB, which the library keeps for itself: malloc_trim(3).
    """
    trim = getattr(_libc, "malloc_trim", None)
    if trim:
        trim(0)
