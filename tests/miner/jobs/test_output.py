"""What a job prints reaches those who announced that they want it, in order with its facts."""

import asyncio

import pytest

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.job import ExecutionDone, ExecutorReady, JobAccepted, VolumesReady
from compute_horde.vocabulary import Extension, Stage, Stream
from miner.jobs import output as output_module
from miner.jobs.models import JobEvent
from tests.miner.conftest import VALIDATOR


def piece(uuid: str, offset: int, text: str) -> OutputPrinted:
    return OutputPrinted(job_uuid=uuid, offset=offset, stream=Stream.STDOUT, text=text)


async def running(it, *extensions: Extension):
    """A job that runs; both peers have heard all so far."""
    executor, validator = await it.executor(), await it.validator(VALIDATOR, *extensions)
    offer = validator.offer()
    uuid = offer.job_uuid
    await validator.say(offer)
    await executor.hear()
    for fact in (ExecutorReady(job_uuid=uuid), VolumesReady(job_uuid=uuid)):
        await executor.say(fact)
    assert await validator.hear_all(3) == ["JobAccepted", "ExecutorReady", "VolumesReady"]
    return executor, validator, uuid


async def test_pieces_and_progress_go_on_at_once_and_into_no_database(scene):
    async with scene() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        first = piece(uuid, 0, "a")
        await executor.say(first)
        assert await validator.hear() == first
        made = ProgressMade(job_uuid=uuid, stage=Stage.EXECUTION, what="x", done_bytes=1)
        await executor.say(made)
        assert await validator.hear() == made
        await executor.say(piece(uuid, 1, "b"))
        await executor.say(ExecutionDone(job_uuid=uuid))
        assert [type(await validator.hear()) for _ in "12"] == [OutputPrinted, ExecutionDone]
        await it.miner.floor.written(VALIDATOR.ss58_address)
        bodies = await in_database(lambda: list(JobEvent.objects.values_list("body", flat=True)))
        assert not [body for body in bodies if "Output" in body or "Progress" in body]


async def test_a_published_validator_hears_nothing_of_it(scene):
    async with scene() as it:
        executor, validator, uuid = await running(it)
        await executor.say(piece(uuid, 0, "a"))
        await executor.say(ExecutionDone(job_uuid=uuid))
        assert isinstance(await validator.hear(), ExecutionDone)
        assert await validator.hears_nothing()


async def test_a_validator_that_comes_back_hears_all_that_is_held(scene):
    async with scene() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        pieces = [piece(uuid, n, str(n)) for n in range(3)]
        for one in pieces[:2]:
            await executor.say(one)
            assert await validator.hear() == one
        await validator.close()
        await executor.say(pieces[2])
        again = await it.validator(VALIDATOR, Extension.OUTPUT)
        heard = [await again.hear() for _ in range(6)]
        assert [type(one) for one in heard[:3]] == [JobAccepted, ExecutorReady, VolumesReady]
        assert heard[3:] == pieces
        await executor.say(ExecutionDone(job_uuid=uuid))
        assert isinstance(await again.hear(), ExecutionDone)


async def test_after_an_end_that_was_missed_the_output_comes_before_it(scene):
    async with scene() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await validator.close()
        await executor.say(piece(uuid, 0, "a"))
        await executor.say(ExecutionDone(job_uuid=uuid))
        await asyncio.sleep(0.05)
        again = await it.validator(VALIDATOR, Extension.OUTPUT)
        heard = [type(await again.hear()) for _ in range(5)]
        assert heard.index(OutputPrinted) < heard.index(ExecutionDone)


async def test_another_validator_hears_nothing(scene):
    async with scene() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await executor.say(piece(uuid, 0, "a"))
        await validator.hear()
        output = it.miner.output
        stranger = output_module.Mouth(output.kept, output=True)
        output.join("stranger", stranger)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stranger.next(), 0.05)
        output.leave("stranger", stranger)


async def test_what_is_held_is_forgotten_some_time_after_the_end(scene, monkeypatch):
    monkeypatch.setattr(output_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(output_module, "LOOKS_AFTER_END", 10_000)
    async with scene() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await executor.say(piece(uuid, 0, "a"))
        await validator.hear()
        output = it.miner.output
        await asyncio.sleep(0.1)
        assert uuid in output.kept
        await executor.close(1006)
        await validator.hear()
        await asyncio.sleep(0.1)
        assert uuid in output.kept
        output.closed(uuid, "a stranger")
        output.closed(uuid, VALIDATOR.ss58_address)
        async with asyncio.timeout(10):
            while uuid in output.kept:
                await asyncio.sleep(0.01)
