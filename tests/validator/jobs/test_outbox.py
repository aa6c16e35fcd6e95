"""Statuses wait for their acknowledgements."""

import asyncio
from uuid import UUID

import pytest

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from validator.jobs.outbox import Outbox


def report(number: int) -> StatusReported:
    return StatusReported(uuid=str(UUID(int=number)), status=JobState.RECEIVED)


async def sent(outbox: Outbox, count: int) -> list[str]:
    return [str(UUID((await outbox.next()).uuid).int) for _ in range(count)]


async def test_statuses_leave_in_the_order_they_came() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.add(report(number))
    assert await sent(outbox, 3) == ["0", "1", "2"]


async def test_what_is_not_acknowledged_leaves_again_before_anything_new() -> None:
    outbox = Outbox()
    for number in range(4):
        outbox.add(report(number))
    await sent(outbox, 3)
    assert outbox.answered() == report(0)
    outbox.reopen()
    outbox.add(report(4))
    assert await sent(outbox, 4) == ["1", "2", "3", "4"]
    assert len(outbox) == 4


async def test_an_answer_to_nothing_is_harmless() -> None:
    assert Outbox().answered() is None


async def test_the_speaker_sleeps_until_there_is_something_to_say() -> None:
    outbox = Outbox()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.next(), 0.01)
    outbox.add(report(1))
    assert await asyncio.wait_for(outbox.next(), 1) == report(1)
