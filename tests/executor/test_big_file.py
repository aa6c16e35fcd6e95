"""A large file takes an executor time and disk, but no memory."""

import pytest

from benchmarks.big_file import measure

pytestmark = pytest.mark.docker
MIB = 2**20


async def test_memory_does_not_grow_with_the_file():
    before, most, _ = await measure(96 * MIB)
    assert most - before < 48 * MIB
