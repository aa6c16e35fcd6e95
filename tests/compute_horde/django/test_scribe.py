"""Facts of one job are written in order, in batches, and one job's trouble is its own."""

import asyncio
import time

import pytest

from compute_horde.django.scribe import Scribe


class Book:
    """Writes slowly and remembers how."""

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
    scribe = Scribe(book.write)
    scribe.hear("a", 1)
    await asyncio.sleep(0)
    for fact in (2, 3, 4):
        scribe.hear("a", fact)
        await asyncio.sleep(0)
    book.go_on.set()
    await scribe.settled("a")
    assert book.of("a") == [[1], [2, 3, 4]]


async def test_facts_heard_in_one_breath_cost_one_writing():
    book = Book()
    book.go_on.set()
    scribe = Scribe(book.write)
    scribe.hear("a", 1)
    scribe.hear("a", 2, 3)
    await scribe.close()
    assert book.written == [("a", [1, 2, 3])]


async def test_no_job_waits_for_another():
    stuck, book = asyncio.Event(), Book()
    book.go_on.set()

    async def write(key: str, facts: list[int]) -> None:
        if key == "slow":
            await stuck.wait()
        await book.write(key, facts)

    scribe = Scribe(write)
    scribe.hear("slow", 1)
    scribe.hear("quick", 2)
    await scribe.settled("quick")
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

    scribe = Scribe(write)
    scribe.hear("a", 13)
    scribe.hear("b", 1)
    await asyncio.sleep(0)
    scribe.hear("a", 14)
    await scribe.close()
    assert failed == [[13], [1], [14]]
    [record] = caplog.records
    assert (record.getMessage(), record.key, record.facts) == ("facts could not be written", "a", 1)
    assert record.exc_info[0] is ZeroDivisionError


async def test_hearing_never_waits_and_settling_does():
    book = Book()
    scribe = Scribe(book.write)
    scribe.hear("a", 1)
    settled = asyncio.ensure_future(scribe.settled("a"))
    await asyncio.sleep(0.01)
    assert not settled.done()
    book.go_on.set()
    await settled
    assert book.written == [("a", [1])]
    await scribe.settled("a")
    await scribe.settled("never heard of")


async def test_one_who_stops_waiting_does_not_stop_the_writing():
    book = Book()
    scribe = Scribe(book.write)
    scribe.hear("a", 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(scribe.settled("a"), 0.01)
    book.go_on.set()
    await scribe.close()
    assert book.written == [("a", [1])]


async def test_a_key_can_be_heard_of_again_after_all_was_written():
    book = Book()
    book.go_on.set()
    scribe = Scribe(book.write)
    for fact in (1, 2):
        scribe.hear("a", fact)
        await scribe.close()
    assert book.of("a") == [[1], [2]]


async def test_facts_that_may_wait_wait_for_company():
    book = Book()
    book.go_on.set()
    scribe = Scribe(book.write, linger_seconds=0.2)
    begun = time.monotonic()
    for fact in (1, 2, 3):
        scribe.hear("a", fact)
        await asyncio.sleep(0)
    while not book.written:
        await asyncio.sleep(0.01)
    assert book.written == [("a", [1, 2, 3])]
    assert time.monotonic() - begun >= 0.2


async def test_nobody_who_waits_or_closes_waits_for_company():
    book = Book()
    book.go_on.set()
    scribe = Scribe(book.write, linger_seconds=60)
    scribe.hear("a", 1)
    await asyncio.wait_for(scribe.settled("a"), 1)
    scribe.hear("b", 2)
    await asyncio.wait_for(scribe.close(), 1)
    assert book.written == [("a", [1]), ("b", [2])]
