"""Which sockets get the messages about a job."""

from uuid import uuid4

from compute_horde.protocol.extensions import CancelOrdered, JobCancelled
from compute_horde.protocol.job import JobAccepted
from compute_horde.vocabulary import Extension, Party
from miner.jobs.validator_sockets import Parties, ValidatorSockets
from tests.miner.conftest import PARTIES, VALIDATOR, accepted

V = Parties("m", "v")
UUID = str(uuid4())
ACCEPTED = JobAccepted(job_uuid=UUID)
CANCELLED = JobCancelled(job_uuid=UUID, reported_by=Party.EXECUTOR)


class Socket:
    """Records the messages queued for it."""

    def __init__(self, *extensions: Extension) -> None:
        self.extensions = frozenset(extensions)
        self.queued: list[str] = []

    def enqueue(self, text: str, job_uuid: str) -> None:
        self.queued.append(text)

    async def send_message(self, message) -> None:
        raise AssertionError


def test_messages_of_extensions_go_only_to_sockets_that_announced_them():
    sockets, plain, other = ValidatorSockets(), Socket(), Socket(Extension.OUTPUT)
    supporting = Socket(Extension.CANCEL)
    for socket in (plain, other, supporting):
        sockets.add(V, socket)
    sockets.send(V, plain, ACCEPTED)
    sockets.send(V, plain, CANCELLED)
    assert plain.queued == other.queued == [ACCEPTED.encode()]
    assert supporting.queued == [ACCEPTED.encode(), CANCELLED.encode()]


async def test_missed_messages_are_repeated_only_if_the_validator_understands_them(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await accepted(it)
        await validator.send(CancelOrdered(job_uuid=uuid).signed(VALIDATOR))
        assert isinstance(await executor.receive(), CancelOrdered)
        await validator.close()
        await executor.send(JobCancelled(job_uuid=uuid, reported_by=Party.EXECUTOR))
        await it.miner.active_jobs.flush(PARTIES)
        supporting = await it.validator(VALIDATOR, Extension.CANCEL)
        assert (await supporting.receive_names(3))[-1] == "JobCancelled"
        plain = await it.validator()
        await plain.receive_names(2)
        assert await plain.receives_nothing()
