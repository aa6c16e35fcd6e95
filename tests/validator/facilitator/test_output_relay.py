"""Output of a job is only accepted from the miner that has it or had it last."""

import asyncio

import pytest

from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import Stream
from validator.facilitator import output_relay as output_module
from validator.facilitator.outbox import Outbox
from validator.facilitator.output_relay import OutputRelay

JOB = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
OLD = "33333333-3333-3333-3333-333333333333"


def piece(offset: int, uuid: str = JOB) -> OutputPrinted:
    return OutputPrinted(job_uuid=uuid, offset=offset, stream=Stream.STDOUT, text="x")


@pytest.fixture
def outbox() -> Outbox:
    box = Outbox()
    box.reopen(output=True)
    return box


async def queued_offsets(outbox: Outbox) -> list[int]:
    found = []
    while True:
        try:
            found.append((await asyncio.wait_for(outbox.next(), 0.02)).offset)
        except TimeoutError:
            return found


async def test_the_miner_of_a_job_is_heard_and_others_are_not(outbox):
    miners = {JOB: "its miner"}
    output = OutputRelay(outbox, miners.get)
    output.relay("its miner", piece(0))
    output.relay("another", piece(1))
    output.relay("its miner", piece(0, OTHER))
    assert await queued_offsets(outbox) == [0]


async def test_what_comes_after_the_end_is_its_last_miner_s_to_say(outbox):
    miners = {JOB: "first"}
    output = OutputRelay(outbox, miners.get)
    output.relay("first", piece(0))
    miners[JOB] = "second"
    output.relay("first", piece(1))
    output.relay("second", piece(2))
    del miners[JOB]
    output.relay("first", piece(3))
    output.relay("second", piece(4))
    assert await queued_offsets(outbox) == [0, 2, 4]


async def test_jobs_of_an_earlier_process_are_remembered_up_to_a_bound(outbox, monkeypatch):
    monkeypatch.setattr(output_module, "MAX_KNOWN", 2)
    output = OutputRelay(outbox, lambda uuid: None)
    output.remember({OLD: "m", OTHER: "m", JOB: "m"})
    output.relay("m", piece(0))
    output.relay("m", piece(0, OLD))
    assert await queued_offsets(outbox) == [0]
