"""Statuses wait for their acknowledgements."""

import asyncio
from uuid import UUID

import pytest

from compute_horde.output import PIECE_BYTES
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState, Stage, Stream
from validator.jobs.outbox import PIECES_AT_ONCE, Outbox


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


def piece(job: int, offset: int, text: str = "x") -> OutputPrinted:
    return OutputPrinted(
        job_uuid=str(UUID(int=job)), offset=offset, stream=Stream.STDOUT, text=text
    )


def ending(job: int) -> StatusReported:
    return StatusReported(uuid=str(UUID(int=job)), status=JobState.COMPLETED)


async def all_of(outbox: Outbox) -> list[object]:
    found = []
    while True:
        try:
            found.append(await asyncio.wait_for(outbox.next(), 0.02))
        except TimeoutError:
            return found


async def test_a_job_s_end_waits_for_its_output_and_no_other_status_does() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    outbox.pass_on(piece(1, 0))
    outbox.pass_on(piece(1, 1))
    outbox.add(ending(1))
    outbox.add(report(2))
    assert await all_of(outbox) == [report(2), piece(1, 0), piece(1, 1), ending(1)]


async def test_only_so_much_output_is_on_its_way_at_once() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    for number in range(PIECES_AT_ONCE + 2):
        outbox.pass_on(piece(1, number))
    outbox.add(ending(1))
    assert len(await all_of(outbox)) == PIECES_AT_ONCE
    assert outbox.answered() == piece(1, 0)
    assert await all_of(outbox) == [piece(1, PIECES_AT_ONCE)]


async def test_output_that_was_not_acknowledged_leaves_again_and_the_end_after_it() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    for number in range(3):
        outbox.pass_on(piece(1, number))
    outbox.add(ending(1))
    await all_of(outbox)
    outbox.answered()
    outbox.reopen(output=True)
    assert await all_of(outbox) == [piece(1, 1), piece(1, 2), ending(1)]
    for _ in range(3):
        outbox.answered()
    assert len(outbox) == 0
    outbox.reopen(output=True)
    assert await all_of(outbox) == []


async def test_output_waits_for_the_first_login_and_is_kept_while_the_facilitator_is_away() -> None:
    outbox = Outbox()
    outbox.pass_on(piece(1, 0))
    outbox.add(ending(1))
    outbox.reopen(output=True)
    assert await all_of(outbox) == [piece(1, 0), ending(1)]


async def test_a_published_facilitator_is_told_statuses_only() -> None:
    outbox = Outbox()
    outbox.pass_on(piece(1, 0))
    outbox.reopen()
    outbox.pass_on(piece(1, 1))
    outbox.pass_on(
        ProgressMade(job_uuid=str(UUID(int=1)), stage=Stage.EXECUTION, what="w", done_bytes=1)
    )
    outbox.add(ending(1))
    assert await all_of(outbox) == [ending(1)]


async def test_progress_is_neither_kept_nor_answered() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    made = ProgressMade(job_uuid=str(UUID(int=1)), stage=Stage.EXECUTION, what="w", done_bytes=1)
    outbox.pass_on(made)
    assert await all_of(outbox) == [made]
    assert len(outbox) == 0
    assert outbox.answered() is None


async def test_too_much_output_costs_its_oldest_part_and_no_status() -> None:
    outbox = Outbox(job_bytes=3 * (PIECE_BYTES + 1))
    outbox.reopen(output=True)
    outbox.add(report(1))
    for number in range(10):
        outbox.pass_on(piece(1, number))
    outbox.add(ending(1))
    assert await all_of(outbox) == [report(1), *(piece(1, n) for n in (7, 8, 9)), ending(1)]
