"""The health of the database, queried rarely however often the page is requested."""

import asyncio

import psycopg
import pytest

from compute_horde.django import health
from compute_horde.django.health import DatabaseHealth


async def test_a_database_that_answers_is_well():
    assert await DatabaseHealth().problem() is None


async def test_many_who_ask_at_once_cost_one_connection(monkeypatch):
    opened = []

    async def connect():
        opened.append(1)
        raise psycopg.OperationalError("Connection refused")

    monkeypatch.setattr(health, "connect", connect)
    asked = DatabaseHealth()
    sent = await asyncio.gather(*(asked.problem() for _ in range(50)))
    assert set(sent) == {"the database cannot be reached"}
    assert await asked.problem() == "the database cannot be reached"
    assert len(opened) == 1


async def test_a_change_is_logged_once_with_what_only_the_operator_may_know(monkeypatch, caplog):
    async def connect():
        raise psycopg.OperationalError(
            'connection to server at "db" failed: FATAL:  password authentication failed for "x"'
        )

    monkeypatch.setattr(health, "connect", connect)
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", -1)
    asked = DatabaseHealth()
    for _ in range(3):
        assert await asked.problem() == "the database refuses us"
    (record,) = caplog.records
    assert record.detail == 'password authentication failed for "x"'


@pytest.mark.parametrize("cancelled", [True, False])
async def test_who_hangs_up_does_not_end_the_question_of_others(monkeypatch, cancelled):
    asking = asyncio.Event()

    async def connect():
        await asking.wait()
        raise psycopg.OperationalError("Connection refused")

    monkeypatch.setattr(health, "connect", connect)
    asked = DatabaseHealth()
    first = asyncio.create_task(asked.problem())
    second = asyncio.create_task(asked.problem())
    await asyncio.sleep(0)
    if cancelled:
        first.cancel()
    asking.set()
    assert await second == "the database cannot be reached"
    await asyncio.gather(first, return_exceptions=True)
