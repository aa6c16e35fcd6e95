"""The C library holds little memory that nobody uses."""

import subprocess
import sys

# Blocks smaller than those that the C library maps one by one; every second one stays, so that
# the library does not return the others by itself.
FREED = """
import psutil
from compute_horde.platform import heap
resident = lambda: psutil.Process().memory_info().rss
blocks = [bytearray(2**16) for _ in range(1024)]
blocks = [block for number, block in enumerate(blocks) if number % 2]
before = resident()
heap.release_unused()
print((before - resident()) / 2**20)
"""

# Whether the blocks of five threads are close together: another arena is far from the heap.
THREADS = """
import ctypes, threading
from compute_horde.platform import heap
{limit}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
places = [libc.malloc(2**12)]
started = threading.Barrier(4)

def work():
    started.wait()
    places.append(libc.malloc(2**12))

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(max(places) - min(places) < 2**30)
"""

# How much is left of eight blocks of 4 MiB that were freed after a larger one, while something
# small above each of them is in use.
LARGE = """
import psutil
from compute_horde.platform import heap
{limit}
frame = bytearray(24 * 2**20)
del frame
resident = lambda: psutil.Process().memory_info().rss
before = resident()
blocks, small = [], []
for _ in range(8):
    blocks.append(bytearray(b"x") * (4 * 2**20))
    small.append(bytearray(2**15))
blocks.clear()
print((resident() - before) / 2**20)
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_what_is_free_between_used_blocks_is_returned() -> None:
    # 32 MiB are free; the library may have given some of them to others.
    assert float(run(FREED)) > 16


def test_threads_allocate_where_the_main_thread_does() -> None:
    assert run(THREADS.format(limit="heap.share_one_arena()")) == "True"
    assert run(THREADS.format(limit="")) == "False"


def test_large_blocks_are_returned_whatever_was_freed_before() -> None:
    assert float(run(LARGE.format(limit="heap.return_large_blocks()"))) < 8
    assert float(run(LARGE.format(limit=""))) > 16
