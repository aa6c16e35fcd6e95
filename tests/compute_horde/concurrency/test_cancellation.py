"""Work ends when it is cancelled; a result that was there before is returned."""

import asyncio

import pytest

from compute_horde.concurrency.cancellation import unless_cancelled
from compute_horde.errors import Cancelled


async def soon(result: str, asked: asyncio.Event | None = None) -> str:
    await asyncio.sleep(0)
    if asked:
        asked.set()
    return result


async def test_work_nobody_cancels_is_done():
    assert await unless_cancelled(asyncio.Event(), soon("done")) == "done"


async def test_work_is_not_begun_once_it_is_cancelled():
    asked = asyncio.Event()
    asked.set()
    began = []

    async def work():
        began.append(1)

    with pytest.raises(Cancelled):
        await unless_cancelled(asked, work())
    assert not began


async def test_cancelled_work_has_ended_when_that_is_told():
    asked, ended = asyncio.Event(), []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    asyncio.get_running_loop().call_soon(asked.set)
    with pytest.raises(Cancelled):
        await unless_cancelled(asked, work())
    assert ended


async def test_work_that_was_done_at_the_same_time_counts():
    asked = asyncio.Event()
    assert await unless_cancelled(asked, soon("done", asked)) == "done"


async def test_an_error_of_the_work_is_its_own():
    async def work():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await unless_cancelled(asyncio.Event(), work())


async def test_who_gives_up_waiting_ends_the_work():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await unless_cancelled(asyncio.Event(), work())
    assert ended
