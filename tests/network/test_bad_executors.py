"""An executor that breaks the protocol harms its own job and nothing else."""

import pytest

from compute_horde.frames import MAX_FRAME_BYTES
from tests.network.odd import BABBLE, BABBLERS, GARBAGE
from tests.network.running import Running, memory, shell, spec
from tests.network.wire import details, miner_url, talk

pytestmark = pytest.mark.usefixtures("containers", "steady")


async def test_a_token_that_nobody_was_given_opens_nothing(network: Running) -> None:
    async with talk(miner_url(network, "executor_interface/guess")) as line:
        assert details(await line.receive()) == "No job waiting for token guess"
        assert await line.end() == 1000


async def test_a_token_opens_the_door_once(network: Running) -> None:
    job = await network.run(spec(docker_image="babble/again", executor_class=BABBLERS))
    assert job.status == "completed", job.error
    assert job.result.stdout.startswith("No job waiting for token")


@pytest.mark.parametrize("what", [*GARBAGE, *(word for word in BABBLE if word != "again")])
async def test_an_executor_that_breaks_the_protocol_fails_its_job(
    network: Running, what: str
) -> None:
    pid = network.pid("miner-2")
    before = memory(pid)
    job = await network.run(spec(docker_image=f"babble/{what}", executor_class=BABBLERS))
    assert (job.status, job.error.reported_by) == ("horde_failed", "miner")
    told = "disconnected while job was running" if what == "oversized" else "broke the protocol"
    assert told in job.error.message
    assert memory(pid) - before < 2 * MAX_FRAME_BYTES


async def test_after_all_that_the_next_job_works(network: Running) -> None:
    job = await network.run(shell("echo fine"))
    assert (job.status, job.result.stdout) == ("completed", "fine\n")
