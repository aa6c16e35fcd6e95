"""Database work survives lost connections."""

import asyncio
import threading
import time

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from compute_horde.django import database
from compute_horde.django.database import THREADS, in_database, write_until_stored
from tests.compute_horde.django.records.models import Job
from tests.compute_horde.vectors import JOB
from tests.eventually import eventually


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def create(**fields: str) -> Job:
    return Job.objects.create(uuid=JOB, state="sent", **fields)


async def test_work_runs_in_a_thread_of_its_own_and_its_result_comes_back():
    ours = threading.current_thread()
    name = await in_database(lambda: threading.current_thread().name)
    assert name.startswith("database")
    assert name != ours.name
    assert (await in_database(create, note="hi")).note == "hi"


async def test_work_waits_for_the_database_without_stopping_the_loop():
    everyone = threading.Barrier(THREADS + 1, timeout=30)
    work = [asyncio.create_task(in_database(everyone.wait)) for _ in range(THREADS)]
    await asyncio.sleep(0)
    # All threads wait for this one, so they run at once and the loop goes on.
    await asyncio.to_thread(everyone.wait)
    assert sorted(await asyncio.gather(*work)) <= list(range(THREADS + 1))


async def test_a_connection_that_broke_between_two_uses_is_replaced(break_connections, caplog):
    everyone = threading.Barrier(THREADS)

    def work() -> int:
        # A fast thread must not take the task of another one, which would then have no connection.
        everyone.wait()
        return backend()

    first = await asyncio.gather(*(in_database(work) for _ in range(THREADS)))
    assert break_connections() >= THREADS
    second = await in_database(backend)
    assert second not in first
    assert "database lost, trying again" in caplog.messages


async def test_a_transaction_that_broke_half_way_is_done_once_by_its_repeat(break_connections):
    attempts = []

    def work() -> str:
        attempts.append(backend())
        with transaction.atomic():
            create(note="half")
            if len(attempts) == 1:
                break_connections()
            Job.objects.update(note="whole")
        return "done"

    assert await in_database(work) == "done"
    assert len(set(attempts)) == 2
    assert await in_database(lambda: [job.note for job in Job.objects.all()]) == ["whole"]


@pytest.mark.parametrize("error", [ValueError, IntegrityError, Job.DoesNotExist])
async def test_any_other_error_is_raised_at_once(error):
    attempts = []

    def work() -> None:
        attempts.append(1)
        raise error

    with pytest.raises(error):
        await in_database(work)
    assert len(attempts) == 1


async def test_the_connection_is_usable_after_an_error_in_a_transaction():
    await in_database(create)
    for _ in range(THREADS):
        with pytest.raises(IntegrityError):
            await in_database(create)
    assert await in_database(Job.objects.count) == 1


async def test_a_database_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.3)
    attempts = []

    def work() -> None:
        attempts.append(time.monotonic())
        raise OperationalError("the database system is starting up")

    with pytest.raises(OperationalError):
        await in_database(work)
    assert len(attempts) >= 2
    assert attempts[-1] - attempts[0] < 5


@pytest.mark.parametrize("lost", [OperationalError, InterfaceError])
async def test_a_write_is_tried_until_the_database_is_back(monkeypatch, caplog, lost):
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(database, "RETRY_SECONDS", 0)
    answers = [lost("away"), lost("away"), "written"]

    def write() -> str:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    assert await write_until_stored(write, job=JOB) == "written"
    assert caplog.text.count("database still unreachable") == 2


async def test_a_write_is_given_up_when_the_process_is_closing(monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(database, "RETRY_SECONDS", 0)
    closing = []

    def write() -> None:
        closing.append(True)
        raise OperationalError("away")

    with pytest.raises(OperationalError):
        await write_until_stored(write, job=JOB, is_closing=lambda: len(closing) >= 3)
    assert len(closing) == 3


async def test_a_write_that_the_database_refuses_is_not_repeated():
    await in_database(create)
    with pytest.raises(IntegrityError):
        await write_until_stored(create, job=JOB)


async def test_closing_the_threads_closes_their_connections_and_the_next_use_opens_one(
    count_connections,
):
    before = count_connections("true")
    await asyncio.gather(*(in_database(time.sleep, 0.05) for _ in range(THREADS)))
    await asyncio.gather(*(in_database(backend) for _ in range(THREADS)))
    assert count_connections("true") > before
    database.close_threads()
    assert await gone(count_connections, before)
    assert await in_database(backend)


async def gone(count_connections, most: int) -> bool:
    """A backend ends a moment after its client has left."""
    return await eventually(lambda: count_connections("true") <= most)
