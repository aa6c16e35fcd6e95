"""A container of the real engine."""

import pytest

from executor.process import id_of
from executor.sandbox.engine import EXECUTOR, ContainerSpec
from tests.peers.executors_miner import TOKEN

ME = id_of(TOKEN)


@pytest.fixture
def make(engine, busybox):
    """Creates a container with a command and settings of its host."""

    async def made(*command, name="job", **host):
        image = await engine.image(busybox)
        spec = ContainerSpec(
            f"horde-{ME}-{name}", image.id, list(command), [], "65534", {EXECUTOR: ME}, host
        )
        return await engine.create(spec)

    return made
