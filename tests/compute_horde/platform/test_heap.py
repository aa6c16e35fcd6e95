"""Freed memory goes back to the system."""

import subprocess
import sys

# Blocks smaller than those that the C library maps one by one; every second one stays, so that
# the library does not return the others by itself.
PROGRAM = """
import psutil
from compute_horde.platform import heap
resident = lambda: psutil.Process().memory_info().rss
blocks = [bytearray(2**16) for _ in range(1024)]
blocks = [block for number, block in enumerate(blocks) if number % 2]
before = resident()
heap.release_unused()
print((before - resident()) / 2**20)
"""


def test_what_is_free_between_used_blocks_is_returned() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    # 32 MiB are free; the library may have given some of them to others.
    assert float(done.stdout) > 16
