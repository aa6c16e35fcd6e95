"""Statuses wait for their acknowledgements."""

import asyncio
from uuid import UUID

import pytest

from compute_horde.output_buffer import PIECE_BYTES
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.protocol.status import JobResult, StatusMetadata, StatusReported
from compute_horde.vocabulary import JobState, Stage, Stream
from validator.facilitator.outbox import MAX_PIECES_IN_FLIGHT, Outbox
from validator.facilitator.waiting_statuses import Stored, WaitingStatuses


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
    assert outbox.on_answer() == report(0)
    outbox.reopen()
    outbox.add(report(4))
    assert await sent(outbox, 4) == ["1", "2", "3", "4"]
    assert len(outbox) == 4


async def test_an_answer_to_nothing_is_harmless() -> None:
    assert Outbox().on_answer() is None


async def test_the_speaker_sleeps_until_there_is_something_to_say() -> None:
    outbox = Outbox()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.next(), 0.01)
    outbox.add(report(1))
    assert await asyncio.wait_for(outbox.next(), 30) == report(1)


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
    outbox.add_output(piece(1, 0))
    outbox.add_output(piece(1, 1))
    outbox.add(ending(1))
    outbox.add(report(2))
    assert await all_of(outbox) == [report(2), piece(1, 0), piece(1, 1), ending(1)]


async def test_only_so_much_output_is_on_its_way_at_once() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    for number in range(MAX_PIECES_IN_FLIGHT + 2):
        outbox.add_output(piece(1, number))
    outbox.add(ending(1))
    assert len(await all_of(outbox)) == MAX_PIECES_IN_FLIGHT
    assert outbox.on_answer() == piece(1, 0)
    assert await all_of(outbox) == [piece(1, MAX_PIECES_IN_FLIGHT)]


async def test_output_that_was_not_acknowledged_leaves_again_and_the_end_after_it() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    for number in range(3):
        outbox.add_output(piece(1, number))
    outbox.add(ending(1))
    await all_of(outbox)
    outbox.on_answer()
    outbox.reopen(output=True)
    assert await all_of(outbox) == [piece(1, 1), piece(1, 2), ending(1)]
    for _ in range(3):
        outbox.on_answer()
    assert len(outbox) == 0
    outbox.reopen(output=True)
    assert await all_of(outbox) == []


async def test_output_waits_for_the_first_login_and_is_kept_while_the_facilitator_is_away() -> None:
    outbox = Outbox()
    outbox.add_output(piece(1, 0))
    outbox.add(ending(1))
    outbox.reopen(output=True)
    assert await all_of(outbox) == [piece(1, 0), ending(1)]


async def test_a_published_facilitator_is_told_statuses_only() -> None:
    outbox = Outbox()
    outbox.add_output(piece(1, 0))
    outbox.reopen()
    outbox.add_output(piece(1, 1))
    outbox.add_output(
        ProgressMade(job_uuid=str(UUID(int=1)), stage=Stage.EXECUTION, what="w", done_bytes=1)
    )
    outbox.add(ending(1))
    assert await all_of(outbox) == [ending(1)]


async def test_progress_is_neither_kept_nor_answered() -> None:
    outbox = Outbox()
    outbox.reopen(output=True)
    made = ProgressMade(job_uuid=str(UUID(int=1)), stage=Stage.EXECUTION, what="w", done_bytes=1)
    outbox.add_output(made)
    assert await all_of(outbox) == [made]
    assert len(outbox) == 0
    assert outbox.on_answer() is None


async def test_too_much_output_costs_its_oldest_part_and_no_status() -> None:
    outbox = Outbox(job_bytes=3 * (PIECE_BYTES + 1))
    outbox.reopen(output=True)
    outbox.add(report(1))
    for number in range(10):
        outbox.add_output(piece(1, number))
    outbox.add(ending(1))
    assert await all_of(outbox) == [report(1), *(piece(1, n) for n in (7, 8, 9)), ending(1)]


class Database:
    """Stored statuses, and how often they were read."""

    def __init__(self, *reports: StatusReported) -> None:
        self.rows = {Stored(one.uuid, one.status): one for one in reports}
        self.reads: list[Stored] = []

    async def read(self, stored: Stored) -> StatusReported | None:
        self.reads.append(stored)
        return self.rows.get(stored)


def large(job: int, status: JobState, text: str = "x" * 2**20) -> StatusReported:
    result = JobResult(docker_process_stdout=text, docker_process_stderr="")
    return StatusReported(
        uuid=str(UUID(int=job)), status=status, metadata=StatusMetadata(miner_response=result)
    )


def of_jobs(*jobs: int) -> list[StatusReported]:
    """The statuses of several jobs, interleaved."""
    states = (JobState.RECEIVED, JobState.ACCEPTED, JobState.EXECUTION_DONE)
    small = [StatusReported(uuid=str(UUID(int=n)), status=s) for s in states for n in jobs]
    return small + [large(job, JobState.COMPLETED) for job in jobs]


async def test_statuses_beyond_the_budget_are_read_again_none_lost_and_none_out_of_order() -> None:
    every = of_jobs(*range(40))
    database = Database(*every)
    statuses = WaitingStatuses(database.read, all_bytes=4 * 2**20)
    outbox = Outbox(statuses=statuses)
    for one in every:
        outbox.add_stored(one)
        assert statuses.budget.held <= 4 * 2**20
    # Some are sent to a facilitator that disconnects before it has answered all of them.
    outbox.reopen()
    taken = [await outbox.next() for _ in range(100)]
    for one in taken[:70]:
        answer = outbox.on_answer()
        assert answer
        assert (answer.uuid, answer.status) == (one.uuid, one.status)
    outbox.reopen()
    assert [*taken[:70], *await all_of(outbox)] == every
    # Only jobs with a large status were dropped: most of the small ones were never read again.
    assert 30 <= len(database.reads) < 200
    while outbox.on_answer():
        pass
    assert (len(outbox), statuses.budget.held, len(statuses._jobs)) == (0, 0, 0)


async def test_one_wide_character_counts_as_what_it_costs() -> None:
    wide = large(1, JobState.COMPLETED, "x" * 2**20 + "\N{SNOWMAN WITHOUT SNOW}\U0001f600")
    statuses = WaitingStatuses(Database(wide).read, all_bytes=3 * 2**20)
    statuses.hold(wide)
    assert statuses.budget.held == 0
    assert await statuses.get(Stored(wide.uuid, wide.status)) == wide


async def test_a_status_that_is_being_read_when_the_connection_ends_is_sent_on_the_next() -> None:
    first, second = large(1, JobState.COMPLETED), ending(2)
    reads: list[asyncio.Event] = []

    async def read(stored: Stored) -> StatusReported:
        reads.append(asyncio.Event())
        if len(reads) == 1:
            await reads[0].wait()
        return first

    outbox = Outbox(statuses=WaitingStatuses(read, job_bytes=2**16))
    outbox.add_stored(first)
    outbox.add_stored(second)
    outbox.reopen()
    speaking = asyncio.create_task(outbox.next())
    while not reads:
        await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    outbox.reopen()
    assert await all_of(outbox) == [first, second]


async def test_what_is_written_nowhere_is_held_whatever_the_budget() -> None:
    refused = large(1, JobState.REJECTED)
    outbox = Outbox(statuses=WaitingStatuses(Database().read, all_bytes=0))
    outbox.add(refused)
    assert await all_of(outbox) == [refused]


async def test_a_status_whose_job_was_deleted_is_left_out() -> None:
    outbox = Outbox(statuses=WaitingStatuses(Database().read, all_bytes=0))
    outbox.add_stored(large(1, JobState.COMPLETED))
    outbox.add_stored(large(2, JobState.FAILED))
    outbox.add(ending(3))
    assert await all_of(outbox) == [ending(3)]
    assert outbox.on_answer() == ending(3)
