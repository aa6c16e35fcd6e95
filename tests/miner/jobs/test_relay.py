"""Who is told what is said of a job."""

from uuid import uuid4

from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.job import JobAccepted
from compute_horde.vocabulary import Extension, Party
from miner.jobs.relay import Relay
from tests.miner.conftest import VALIDATOR, accepted

UUID = str(uuid4())
ACCEPTED = JobAccepted(job_uuid=UUID)
CANCELLED = JobCancelled(job_uuid=UUID, reported_by=Party.EXECUTOR)


class Socket:
    """Remembers what it was told."""

    def __init__(self, *extensions: Extension) -> None:
        self.extensions = frozenset(extensions)
        self.told: list[str] = []

    def tell(self, text: str, job_uuid: str) -> None:
        self.told.append(text)

    async def say(self, message) -> None:
        raise AssertionError


def test_extensions_are_told_only_to_sockets_that_announced_them():
    relay, plain, other = Relay(), Socket(), Socket(Extension.OUTPUT)
    speaking = Socket(Extension.CANCEL)
    for ear in (plain, other, speaking):
        relay.join("v", ear)
    relay.tell("v", plain, ACCEPTED)
    relay.tell("v", plain, CANCELLED)
    assert plain.told == other.told == [ACCEPTED.encode()]
    assert speaking.told == [ACCEPTED.encode(), CANCELLED.encode()]


async def test_what_a_validator_missed_is_repeated_only_as_far_as_it_understands(scene):
    async with scene() as it:
        executor, validator, uuid = await accepted(it)
        await validator.say(CancelOrdered(job_uuid=uuid).signed(VALIDATOR))
        assert isinstance(await executor.hear(), CancelOrdered)
        await validator.close()
        await executor.say(JobCancelled(job_uuid=uuid, reported_by=Party.EXECUTOR))
        await it.miner.floor.written(VALIDATOR.ss58_address)
        speaking = await it.validator(VALIDATOR, Extension.CANCEL)
        assert (await speaking.hear_all(3))[-1] == "JobCancelled"
        plain = await it.validator()
        await plain.hear_all(2)
        assert await plain.hears_nothing()
