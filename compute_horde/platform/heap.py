"""Returns memory that the C library holds but does not use to the system (glibc)."""

import ctypes

_libc = ctypes.CDLL(None)


def release_unused() -> None:
    """Return freed memory to the system; does nothing where the C library cannot.

    The imports of a start free several MiB, which the library keeps for itself: malloc_trim(3).
    """
    trim = getattr(_libc, "malloc_trim", None)
    if trim:
        trim(0)
