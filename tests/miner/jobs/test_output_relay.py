"""The output of a job is relayed to validators with the extension, in order with its messages."""

import asyncio

import pytest

from compute_horde.django.database import in_database
from compute_horde.output_buffer import OutputBuffer
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.job import ExecutionDone, ExecutorReady, JobAccepted, VolumesReady
from compute_horde.vocabulary import Extension, Stage, Stream
from miner.jobs import output_relay as output_module
from miner.jobs.models import JobEvent
from miner.jobs.validator_sockets import Parties
from tests.miner.conftest import MINER, PARTIES, VALIDATOR


def piece(uuid: str, offset: int, text: str) -> OutputPrinted:
    return OutputPrinted(job_uuid=uuid, offset=offset, stream=Stream.STDOUT, text=text)


async def running(it, *extensions: Extension):
    """A running job; both peers have received all messages so far."""
    executor, validator = await it.executor(), await it.validator(VALIDATOR, *extensions)
    offer = validator.offer()
    uuid = offer.job_uuid
    await validator.send(offer)
    await executor.receive()
    for message in (ExecutorReady(job_uuid=uuid), VolumesReady(job_uuid=uuid)):
        await executor.send(message)
    assert await validator.receive_names(3) == ["JobAccepted", "ExecutorReady", "VolumesReady"]
    return executor, validator, uuid


async def test_pieces_and_progress_are_relayed_at_once_and_not_stored(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        first = piece(uuid, 0, "a")
        await executor.send(first)
        assert await validator.receive() == first
        made = ProgressMade(job_uuid=uuid, stage=Stage.EXECUTION, what="x", done_bytes=1)
        await executor.send(made)
        assert await validator.receive() == made
        await executor.send(piece(uuid, 1, "b"))
        await executor.send(ExecutionDone(job_uuid=uuid))
        assert [type(await validator.receive()) for _ in "12"] == [OutputPrinted, ExecutionDone]
        await it.miner.active_jobs.flush(PARTIES)
        bodies = await in_database(lambda: list(JobEvent.objects.values_list("body", flat=True)))
        assert not [body for body in bodies if "Output" in body or "Progress" in body]


async def test_a_published_validator_gets_no_output(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await running(it)
        await executor.send(piece(uuid, 0, "a"))
        await executor.send(ExecutionDone(job_uuid=uuid))
        assert isinstance(await validator.receive(), ExecutionDone)
        assert await validator.receives_nothing()


async def test_a_validator_that_reconnects_gets_all_that_is_held(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        pieces = [piece(uuid, n, str(n)) for n in range(3)]
        for one in pieces[:2]:
            await executor.send(one)
            assert await validator.receive() == one
        await validator.close()
        await executor.send(pieces[2])
        reconnected = await it.validator(VALIDATOR, Extension.OUTPUT)
        received = [await reconnected.receive() for _ in range(6)]
        assert [type(one) for one in received[:3]] == [JobAccepted, ExecutorReady, VolumesReady]
        assert received[3:] == pieces
        await executor.send(ExecutionDone(job_uuid=uuid))
        assert isinstance(await reconnected.receive(), ExecutionDone)


async def test_missed_output_is_sent_before_the_missed_end(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await validator.close()
        await executor.send(piece(uuid, 0, "a"))
        await executor.send(ExecutionDone(job_uuid=uuid))
        await asyncio.sleep(0.05)
        reconnected = await it.validator(VALIDATOR, Extension.OUTPUT)
        received = [type(await reconnected.receive()) for _ in range(5)]
        assert received.index(OutputPrinted) < received.index(ExecutionDone)


async def test_another_validator_gets_nothing(run_miner):
    async with run_miner() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await executor.send(piece(uuid, 0, "a"))
        await validator.receive()
        output = it.miner.output_relay
        other = output_module.OutboundQueue(output.buffer, output=True, overflowed=lambda: None)
        output.subscribe(Parties(MINER.ss58_address, "other"), other)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.next(), 0.05)
        output.unsubscribe(Parties(MINER.ss58_address, "other"), other)


async def test_held_output_is_dropped_some_time_after_the_end(run_miner, monkeypatch):
    monkeypatch.setattr(output_module, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(output_module, "CHECKS_AFTER_END", 10_000)
    async with run_miner() as it:
        executor, validator, uuid = await running(it, Extension.OUTPUT)
        await executor.send(piece(uuid, 0, "a"))
        await validator.receive()
        output = it.miner.output_relay
        await asyncio.sleep(0.1)
        assert uuid in output.buffer
        await executor.close(1006)
        await validator.receive()
        await asyncio.sleep(0.1)
        assert uuid in output.buffer
        output.on_receipt(uuid, Parties("a other", VALIDATOR.ss58_address))
        output.on_receipt(uuid, PARTIES)
        async with asyncio.timeout(10):
            while uuid in output.buffer:
                await asyncio.sleep(0.01)


def test_waiting_messages_of_one_job_are_limited_independently_of_other_jobs(
    monkeypatch,
):
    monkeypatch.setattr(output_module, "JOB_MESSAGE_BYTES", 2**20)
    before, overflows = output_module.waiting_messages.held, []
    outbound = output_module.OutboundQueue(
        OutputBuffer(1, 1), output=False, overflowed=lambda: overflows.append(1)
    )
    for number in range(10):
        outbound.put("x" * 2**19, str(number))
    assert not overflows
    outbound.put("x" * 2**19, "3")
    assert (len(overflows), output_module.waiting_messages.held) == (1, before)
    outbound.put("x", "3")
    outbound.close()
    assert (len(overflows), output_module.waiting_messages.held) == (1, before)


async def test_a_waiting_message_takes_as_much_memory_as_its_bytes_and_is_sent_unchanged():
    before = output_module.waiting_messages.held
    outbound = output_module.OutboundQueue(
        OutputBuffer(1, 1), output=False, overflowed=lambda: None
    )
    texts = ["x" * 2**20 + "\U0001f600", "plain", "half \ud83d"]
    for text in texts:
        outbound.put(text, "job")
    assert output_module.waiting_messages.held - before < 1.1 * 2**20
    assert [await outbound.next() for _ in texts] == texts
    assert (output_module.waiting_messages.held, outbound._jobs) == (before, {})
