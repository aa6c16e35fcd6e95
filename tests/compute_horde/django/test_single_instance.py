"""Of two processes of a kind one works; the other takes over when it ends."""

import asyncio
import os
import signal
import subprocess
import sys

import psycopg
import pytest
from django.db import connection

from compute_horde.django import single_instance
from compute_horde.django.notifications import connect
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def _brisk(monkeypatch):
    monkeypatch.setattr(single_instance, "LOOK_SECONDS", 0.1)


class Worker:
    """Works until it is stopped."""

    def __init__(self, name: str = "test") -> None:
        self.began = asyncio.Event()
        self.ended = False
        self.task = asyncio.create_task(single_instance.run_exclusively(name, self._work))

    async def _work(self) -> None:
        self.began.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended = True

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def holders() -> list[int]:
    """The backends of this database that hold such a lock; the view shows all databases'."""
    async with await connect() as line:
        query = (
            "SELECT pid FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE datname = current_database() AND locktype = 'advisory' AND granted"
        )
        return [pid for (pid,) in await (await line.execute(query)).fetchall()]


async def cut(pid: int) -> None:
    async with await connect() as line:
        await line.execute("SELECT pg_terminate_backend(%s)", (pid,))


async def test_the_second_waits_and_takes_over(caplog):
    first = Worker()
    await asyncio.wait_for(first.began.wait(), 30)
    second, other = Worker(), Worker("other")
    await asyncio.wait_for(other.began.wait(), 30)
    await eventually(lambda: "another process is at work" in caplog.text)
    # It looks several times, and says so once.
    await asyncio.sleep(0.3)
    assert not second.began.is_set()
    assert caplog.text.count("another process is at work") == 1
    await first.stop()
    assert first.ended
    await asyncio.wait_for(second.began.wait(), 30)
    await second.stop()
    await other.stop()
    assert await holders() == []


async def test_who_lost_the_database_takes_the_lock_again():
    worker = Worker()
    await asyncio.wait_for(worker.began.wait(), 30)
    [before] = await holders()
    await cut(before)

    async def is_held_by_another() -> bool:
        return await holders() not in ([], [before])

    await eventually(is_held_by_another)
    assert not worker.task.done()
    await worker.stop()


async def test_who_lost_the_lock_to_another_stops_working(monkeypatch):
    monkeypatch.setattr(single_instance, "RETRY_SECONDS", 1.0)
    worker = Worker()
    await asyncio.wait_for(worker.began.wait(), 30)
    [pid] = await holders()
    await cut(pid)
    thief = Worker()
    await asyncio.wait_for(thief.began.wait(), 30)
    with pytest.raises(single_instance.TakenOverError):
        await asyncio.wait_for(worker.task, 10)
    assert worker.ended
    await thief.stop()


async def test_what_goes_wrong_at_work_is_told_and_frees_the_place():
    async def work() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await single_instance.run_exclusively("test", work)
    assert await holders() == []


async def test_a_database_that_is_away_is_waited_for(monkeypatch):
    left = [3]

    async def refused() -> psycopg.AsyncConnection:
        if left[0]:
            left[0] -= 1
            raise psycopg.OperationalError("away")
        return await connect()

    monkeypatch.setattr(single_instance, "connect", refused)
    worker = Worker()
    await asyncio.wait_for(worker.began.wait(), 30)
    assert left == [0]
    await worker.stop()


STUCK = """
import asyncio, threading
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {database!r}
django.setup()
from compute_horde.django import single_instance

single_instance.STOP_SECONDS = {seconds}

async def work():
    # Like a thread that waits for a database which does not answer.
    threading.Thread(target=threading.Event().wait).start() if {stuck} else None
    print("at work", flush=True)
    await asyncio.Event().wait()

asyncio.run(single_instance.run_until_signal("stuck", work))
"""


@pytest.mark.parametrize(("stuck", "seconds"), [(True, 0.1), (False, 3600)])
def test_a_process_that_is_told_to_stop_ends_whatever_waits_in_it(stuck: bool, seconds: float):
    database = connection.settings_dict["NAME"]
    code = STUCK.format(stuck=stuck, seconds=seconds, database=database)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.compute_horde.django.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "at work\n"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    assert ("abandoned" in said) is stuck
