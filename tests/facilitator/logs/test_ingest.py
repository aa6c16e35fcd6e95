"""Output is stored in order, answered once it is, and announced to who reads it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from django.db import DataError
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.django.database import in_database
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import Stream
from facilitator.logs import ingest, store
from facilitator.logs.ingest import PIECES_AT_ONCE, SUCCESS, ReaderRegistry, ValidatorLogSource
from facilitator.models import JobPiece
from tests.compute_horde.vectors import KEYS

VALIDATOR = KEYS["validator"].ss58_address


def piece(uuid: str, offset: int, text: str = "x") -> OutputPrinted:
    return OutputPrinted(job_uuid=uuid, offset=offset, stream=Stream.STDOUT, text=text)


@pytest.fixture
async def uuid(user, line) -> AsyncIterator[str]:
    """A job of this validator."""
    made = (await user.create()).json()["uuid"]
    await line.receive()
    yield made
    await ingest.writer.close()


async def text_of(uuid: str) -> str:
    rows = JobPiece.objects.filter(job_id=uuid).order_by("number")
    return "".join(await in_database(lambda: [row.text for row in rows]))


async def test_output_is_answered_once_it_is_stored_and_its_readers_wake(uuid):
    source = ValidatorLogSource(VALIDATOR)
    mine = ingest.reader_registry.open(uuid, "user")
    other = ingest.reader_registry.open("another job", "user")
    try:
        answers = [await source.enqueue(piece(uuid, number)) for number in range(3)]
        assert await source.has_stored(uuid)
        assert [await answer for answer in answers] == [SUCCESS] * 3
        assert await text_of(uuid) == "xxx"
        assert (mine.changed.is_set(), other.changed.is_set()) == (True, False)
    finally:
        for reader in (mine, other):
            ingest.reader_registry.close(reader)


async def test_output_of_a_job_of_another_validator_is_refused(uuid):
    source = ValidatorLogSource("another validator")
    answer = await (await source.enqueue(piece(uuid, 0)))
    assert (answer.status, answer.errors[0].type) == ("error", "job.not_found")
    assert await source.has_stored(uuid)
    assert await text_of(uuid) == ""


async def test_after_a_failed_write_nothing_more_of_the_connection_is_stored(uuid, monkeypatch):
    source, append = ValidatorLogSource(VALIDATOR), store.append

    def fails(*_: object) -> bool:
        raise DataError("too long")

    monkeypatch.setattr(store, "append", fails)
    first = await source.enqueue(piece(uuid, 0))
    assert not await source.has_stored(uuid)
    assert first.cancelled()
    monkeypatch.setattr(store, "append", append)
    later = await source.enqueue(piece(uuid, 1))
    assert not await source.has_stored(uuid)
    assert later.cancelled()
    # The validator repeats both on a new connection.
    again = ValidatorLogSource(VALIDATOR)
    for number in range(2):
        await again.enqueue(piece(uuid, number))
    assert await again.has_stored(uuid)
    assert await text_of(uuid) == "xx"


async def test_a_connection_has_only_so_many_pieces_unstored(uuid, monkeypatch):
    may_write, append = asyncio.Event(), store.append
    loop = asyncio.get_running_loop()

    def held(*given: object) -> bool:
        asyncio.run_coroutine_threadsafe(may_write.wait(), loop).result(30)
        return append(*given)

    monkeypatch.setattr(store, "append", held)
    source = ValidatorLogSource(VALIDATOR)
    for number in range(PIECES_AT_ONCE):
        await source.enqueue(piece(uuid, number))
    one_more = asyncio.create_task(source.enqueue(piece(uuid, PIECES_AT_ONCE)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(one_more), 0.1)
    may_write.set()
    assert await (await one_more) == SUCCESS
    assert len(await text_of(uuid)) == PIECES_AT_ONCE + 1


async def test_of_a_job_without_output_all_is_stored():
    assert await ValidatorLogSource(VALIDATOR).has_stored("no job")


async def test_a_stop_wakes_every_reader():
    registry = ReaderRegistry()
    readers = [registry.open(job, "user") for job in "aab"]
    registry.stop()
    assert [(one.is_stopped, one.changed.is_set()) for one in readers] == [(True, True)] * 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uv"), st.booleans())))
def test_the_registry_counts_who_is_open_and_forgets_who_is_not(steps):
    registry, opened = ReaderRegistry(), []
    for job, user, is_closed in steps:
        opened.append((registry.open(job, user), is_closed))
    for reader, is_closed in opened:
        for _ in range(2 * is_closed):
            registry.close(reader)
    left = [reader for reader, is_closed in opened if not is_closed]
    for user in "uv":
        assert registry.count(user) == sum(one.hotkey == user for one in left)
    registry.notify("a")
    for reader, is_closed in opened:
        assert reader.changed.is_set() == (reader.job_uuid == "a" and not is_closed)
    assert set(registry._readers) == {one.job_uuid for one in left}
