"""Facts of one job are written in order and in batches; errors do not affect other jobs."""

import asyncio
import time

import pytest

from compute_horde.concurrency.batch_writer import BatchWriter


class Book:
    """A slow writer that records its calls."""

    def __init__(self) -> None:
        self.written: list[tuple[str, list[int]]] = []
        self.at_once: dict[str, int] = {}
        self.go_on = asyncio.Event()

    async def write(self, key: str, facts: list[int]) -> None:
        self.at_once[key] = self.at_once.get(key, 0) + 1
        assert self.at_once[key] == 1
        await self.go_on.wait()
        if 13 in facts:
            raise ZeroDivisionError
        self.written.append((key, facts))
        self.at_once[key] -= 1

    def of(self, key: str) -> list[list[int]]:
        return [facts for written, facts in self.written if written == key]


async def test_what_is_heard_while_writing_is_written_together_next():
    book = Book()
    scribe = BatchWriter(book.write)
    scribe.put("a", 1)
    await asyncio.sleep(0)
    for fact in (2, 3, 4):
        scribe.put("a", fact)
        await asyncio.sleep(0)
    book.go_on.set()
    await scribe.flush("a")
    assert book.of("a") == [[1], [2, 3, 4]]


async def test_facts_heard_in_one_breath_cost_one_writing():
    book = Book()
    book.go_on.set()
    scribe = BatchWriter(book.write)
    scribe.put("a", 1)
    scribe.put("a", 2, 3)
    await scribe.close()
    assert book.written == [("a", [1, 2, 3])]


async def test_no_job_waits_for_another():
    stuck, book = asyncio.Event(), Book()
    book.go_on.set()

    async def write(key: str, facts: list[int]) -> None:
        if key == "slow":
            await stuck.wait()
        await book.write(key, facts)

    scribe = BatchWriter(write)
    scribe.put("slow", 1)
    scribe.put("quick", 2)
    await scribe.flush("quick")
    assert book.written == [("quick", [2])]
    stuck.set()
    await scribe.close()
    assert book.of("slow") == [[1]]


async def test_a_writing_that_fails_is_logged_and_the_next_facts_are_written(caplog):
    failed = []

    async def write(_: str, facts: list[int]) -> None:
        failed.append(facts)
        if 13 in facts:
            raise ZeroDivisionError

    scribe = BatchWriter(write)
    scribe.put("a", 13)
    scribe.put("b", 1)
    await asyncio.sleep(0)
    scribe.put("a", 14)
    await scribe.close()
    assert failed == [[13], [1], [14]]
    [record] = caplog.records
    assert (record.getMessage(), record.key, record.facts) == ("facts could not be written", "a", 1)
    assert record.exc_info[0] is ZeroDivisionError


async def test_hearing_never_waits_and_settling_does():
    book = Book()
    scribe = BatchWriter(book.write)
    scribe.put("a", 1)
    settled = asyncio.ensure_future(scribe.flush("a"))
    await asyncio.sleep(0.01)
    assert not settled.done()
    book.go_on.set()
    await settled
    assert book.written == [("a", [1])]
    await scribe.flush("a")
    await scribe.flush("never heard of")


async def test_one_who_stops_waiting_does_not_stop_the_writing():
    book = Book()
    scribe = BatchWriter(book.write)
    scribe.put("a", 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(scribe.flush("a"), 0.01)
    book.go_on.set()
    await scribe.close()
    assert book.written == [("a", [1])]


async def test_a_key_can_be_heard_of_again_after_all_was_written():
    book = Book()
    book.go_on.set()
    scribe = BatchWriter(book.write)
    for fact in (1, 2):
        scribe.put("a", fact)
        await scribe.close()
    assert book.of("a") == [[1], [2]]


async def test_facts_that_may_wait_wait_for_company():
    book = Book()
    book.go_on.set()
    scribe = BatchWriter(book.write, linger_seconds=0.2)
    begun = time.monotonic()
    for fact in (1, 2, 3):
        scribe.put("a", fact)
        await asyncio.sleep(0)
    while not book.written:
        await asyncio.sleep(0.01)
    assert book.written == [("a", [1, 2, 3])]
    assert time.monotonic() - begun >= 0.2


async def test_nobody_who_waits_or_closes_waits_for_company():
    book = Book()
    book.go_on.set()
    scribe = BatchWriter(book.write, linger_seconds=60)
    scribe.put("a", 1)
    await asyncio.wait_for(scribe.flush("a"), 30)
    scribe.put("b", 2)
    await asyncio.wait_for(scribe.close(), 30)
    assert book.written == [("a", [1]), ("b", [2])]


async def test_a_cancelled_writer_ends_even_as_its_wait_ends():
    """What `asyncio.wait_for` of Python 3.11 swallows."""
    book = Book()
    scribe = BatchWriter(book.write, linger_seconds=60)
    scribe.put("a", 1)
    await asyncio.sleep(0)
    writer = scribe._writers["a"]
    scribe._hurry["a"].set()
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.wait([writer], timeout=30)
    assert writer.cancelled()
