"""A large file costs an executor time and disk, and no memory."""

import pytest

from benchmarks.big_file import moved

pytestmark = pytest.mark.docker
MIB = 2**20


async def test_memory_does_not_grow_with_the_file():
    before, most, _ = await moved(96 * MIB)
    assert most - before < 48 * MIB
