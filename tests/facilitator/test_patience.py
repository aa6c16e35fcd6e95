"""An answer in time, whatever the database does."""

import asyncio
import time
from threading import Event

import pytest
from django.db import OperationalError

from facilitator import patience
from facilitator.patience import answered, promptly
from facilitator.refusal import Refusal


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 0.2)


async def test_work_is_done_and_its_result_handed_over():
    assert await promptly(divmod, 7, 2) == (3, 1)


async def test_a_refusal_passes_through():
    def refuse() -> None:
        raise Refusal(404, {})

    with pytest.raises(Refusal) as refused:
        await promptly(refuse)
    assert refused.value.status == 404


async def test_a_database_that_is_away_is_told_in_time():
    tried = []

    def away() -> None:
        tried.append(time.monotonic())
        raise OperationalError("restarting")

    began = time.monotonic()
    with pytest.raises(Refusal) as refused:
        await promptly(away)
    assert time.monotonic() - began < 1
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"]
    assert len(tried) > 1


async def test_what_was_refused_is_not_tried_again_later():
    tried = []

    def away() -> None:
        tried.append(1)
        raise OperationalError("restarting")

    with pytest.raises(Refusal):
        await promptly(away)
    count = len(tried)
    await asyncio.sleep(0.6)
    assert len(tried) == count


async def test_what_began_is_finished_though_nobody_waits():
    go, finished = Event(), []

    async def slow() -> None:
        await asyncio.to_thread(go.wait)
        finished.append(1)

    with pytest.raises(Refusal) as refused:
        await answered(slow())
    assert refused.value.status == 503
    go.set()
    while not finished:
        await asyncio.sleep(0.01)


async def test_work_survives_a_caller_who_hangs_up():
    finished = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.05)
        finished.set()

    caller = asyncio.create_task(answered(work()))
    await asyncio.sleep(0.01)
    caller.cancel()
    async with asyncio.timeout(2):
        await finished.wait()


async def test_an_unforeseen_error_is_logged_and_raised(caplog):
    async def broken() -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        await answered(broken())
    assert "work for a user failed" in caplog.text
