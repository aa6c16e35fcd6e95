"""Memory held for peers is limited in bytes: per job, per connection and per process."""

import asyncio
from uuid import UUID

import pytest

from compute_horde.concurrency.byte_budget import ITEM_BYTES, ByteBudget, ByteGate, memory_of
from compute_horde.protocol.links import VALIDATOR_TO_FACILITATOR

KIB = 1024


class Holder:
    def __init__(self, parent: ByteBudget, limit: int) -> None:
        self.items: list[int] = []
        self.drops = 0
        self.budget = parent.part(limit, drop=self.drop)

    def drop(self) -> None:
        self.items.clear()
        self.drops += 1

    def put(self, size: int) -> None:
        self.items.append(size)
        self.budget.add(size)

    def pop(self) -> None:
        self.budget.remove(self.items.pop(0))


def test_a_leaf_over_its_limit_drops_what_it_holds_and_no_other_does() -> None:
    process = ByteBudget(1000 * KIB)
    connection = process.part(1000 * KIB)
    greedy, modest = Holder(connection, 100 * KIB), Holder(connection, 100 * KIB)
    modest.put(50 * KIB)
    for _ in range(3):
        greedy.put(40 * KIB)
    assert (greedy.drops, modest.drops) == (1, 0)
    assert process.held == connection.held == modest.budget.held == 50 * KIB + ITEM_BYTES


def test_over_the_limit_of_a_connection_or_the_process_the_largest_drops() -> None:
    process = ByteBudget(300 * KIB)
    first, second = process.part(200 * KIB), process.part(200 * KIB)
    large, small, other = Holder(first, 500 * KIB), Holder(first, 500 * KIB), Holder(second, 500)
    other.budget.limit = 500 * KIB
    large.put(120 * KIB)
    small.put(100 * KIB)
    assert (large.drops, small.drops) == (1, 0)
    other.put(150 * KIB)
    small.put(80 * KIB)
    assert (small.drops, other.drops) == (1, 0)
    assert process.held == other.budget.held


def test_many_empty_items_count_as_well() -> None:
    process = ByteBudget(100 * KIB)
    holder = Holder(process, 100 * KIB)
    for _ in range(101):
        holder.put(0)
    assert holder.drops == 1


def test_what_is_taken_out_or_closed_counts_no_more() -> None:
    process = ByteBudget(100 * KIB)
    holder, gone = Holder(process, 100 * KIB), Holder(process, 100 * KIB)
    for _ in range(1000):
        holder.put(30 * KIB)
        holder.pop()
    gone.put(5)
    gone.budget.close()
    assert (holder.drops, process.held) == (0, 0)
    assert not process._parts


async def test_who_wants_to_hold_more_waits_until_there_is_room() -> None:
    process = ByteGate(100 * KIB)
    one, two = ByteGate(60 * KIB, process), ByteGate(60 * KIB, process)
    await one.enter(50 * KIB)
    waiting = asyncio.create_task(one.enter(20 * KIB))
    await two.enter(30 * KIB)
    await asyncio.sleep(0)
    assert not waiting.done()
    one.leave(50 * KIB)
    await asyncio.wait_for(waiting, 30)
    one.leave(20 * KIB)
    two.leave(30 * KIB)
    assert process.held == one.held == two.held == 0


async def test_who_gives_up_waiting_holds_nothing() -> None:
    process = ByteGate(10 * KIB)
    one, two = ByteGate(100 * KIB, process), ByteGate(100 * KIB, process)
    async with one.holding(5 * KIB):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(two.enter(5 * KIB), 0.05)
        assert two.held == 0
    assert process.held == 0


async def test_an_item_larger_than_the_limit_passes_alone() -> None:
    gate = ByteGate(KIB)
    await gate.enter(50 * KIB)
    waiting = asyncio.create_task(gate.enter(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.leave(50 * KIB)
    await asyncio.wait_for(waiting, 30)


def test_memory_of_a_message_is_what_its_texts_take_however_they_were_written() -> None:
    plain = '{"message_type": "V0JobStatusUpdate", "uuid": "%s", "status": "completed", "metadata":'
    plain += '{"miner_response": {"docker_process_stdout": "%s", "docker_process_stderr": "",'
    plain += '"further": {"key": ["%s"]}}}}'
    filler, wide = "x" * 100 * KIB, "x" * 100 * KIB + "\\ud83d\\ude00"
    sizes = [
        memory_of(VALIDATOR_TO_FACILITATOR.decode(plain % (UUID(int=1), first, second)))
        for first, second in (("", ""), (filler, ""), (filler, filler), (wide, filler))
    ]
    assert sizes[0] < 10 * KIB
    assert [round((size - sizes[0]) / (100 * KIB), 1) for size in sizes] == [0, 1, 2, 5]
