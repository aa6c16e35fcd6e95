"""Responses in time, whatever the database does."""

import asyncio
from threading import Event

import pytest
from django.db import OperationalError

from facilitator.web import response_deadline
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import finish_or_503, query_within_deadline
from tests.eventually import eventually


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(response_deadline, "ANSWER_SECONDS", 0.2)


async def test_work_is_done_and_its_result_handed_over():
    assert await query_within_deadline(divmod, 7, 2) == (3, 1)


async def test_a_refusal_passes_through():
    def refuse() -> None:
        raise ApiError(404, {})

    with pytest.raises(ApiError) as refused:
        await query_within_deadline(refuse)
    assert refused.value.status == 404


async def test_an_unavailable_database_is_reported_in_time(monkeypatch):
    monkeypatch.setattr(response_deadline, "ANSWER_SECONDS", 2)
    tried = []

    def away() -> None:
        tried.append(1)
        raise OperationalError("restarting")

    with pytest.raises(ApiError) as refused:
        # Otherwise work of the database is repeated for a minute.
        await asyncio.wait_for(query_within_deadline(away), 30)
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"]
    assert len(tried) > 1


@pytest.mark.usefixtures("_impatient")
async def test_what_was_refused_is_not_tried_again_later():
    tried = []

    def away() -> None:
        tried.append(1)
        raise OperationalError("restarting")

    with pytest.raises(ApiError):
        await query_within_deadline(away)
    count = len(tried)
    await asyncio.sleep(0.6)
    assert len(tried) == count


@pytest.mark.usefixtures("_impatient")
async def test_what_began_is_finished_though_nobody_waits():
    go, finished = Event(), []

    async def slow() -> None:
        await asyncio.to_thread(go.wait)
        finished.append(1)

    with pytest.raises(ApiError) as refused:
        await finish_or_503(slow())
    assert refused.value.status == 503
    go.set()
    await eventually(lambda: finished)


async def test_work_survives_a_caller_who_hangs_up():
    began, may_go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        await may_go_on.wait()
        finished.set()

    caller = asyncio.create_task(finish_or_503(work()))
    await began.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_go_on.set()
    assert await asyncio.wait_for(finished.wait(), 30)


async def test_an_unforeseen_error_is_logged_and_raised(caplog):
    async def broken() -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        await finish_or_503(broken())
    assert "work of an API request failed" in caplog.text
