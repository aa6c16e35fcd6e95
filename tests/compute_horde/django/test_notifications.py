"""Notifications reach other processes at once, and a listener knows when some may be missing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from django.db import connection

from compute_horde.django import notifications
from compute_horde.django.database import in_database
from compute_horde.django.job_record import notify
from compute_horde.django.notifications import Notification, listen
from tests.eventually import eventually

ODD = 'odd "channel"; --'


async def received(stream: AsyncIterator[Notification]) -> Notification:
    return await asyncio.wait_for(anext(stream), 30)


async def test_the_first_notice_says_to_look_at_the_rows():
    async with aclosing(listen("jobs")) as stream:
        first = await received(stream)
        assert first.missed


async def test_news_arrive_in_order_on_every_channel_listened_to():
    async with aclosing(listen("jobs", ODD)) as stream:
        await received(stream)
        for channel, payload in (("jobs", "1"), (ODD, "2"), ("other", "3"), ("jobs", "")):
            await in_database(notify, channel, payload)
        sent = [await received(stream) for _ in range(3)]
    assert sent == [Notification("jobs", "1"), Notification(ODD, "2"), Notification("jobs", "")]
    assert not any(notice.missed for notice in sent)


async def test_a_listener_that_lost_the_database_listens_again_and_says_so(
    break_connections, caplog
):
    async with aclosing(listen("jobs")) as stream:
        await received(stream)
        following = asyncio.ensure_future(received(stream))
        await asyncio.sleep(0.05)
        break_connections()
        assert (await following).missed
        assert "database connection lost, listening again" in caplog.messages
        await in_database(notify, "jobs", "after")
        assert await received(stream) == Notification("jobs", "after")


async def test_a_database_that_cannot_be_reached_is_asked_again_and_less_often(monkeypatch):
    waits = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            raise asyncio.CancelledError

    with monkeypatch.context() as elsewhere:
        elsewhere.setitem(connection.settings_dict, "PORT", "1")
        elsewhere.setattr(notifications.asyncio, "sleep", asleep)
        with pytest.raises(asyncio.CancelledError):
            await anext(listen("jobs"))
    assert waits == sorted(waits)
    assert waits[-1] == notifications.LONGEST_RETRY_SECONDS


async def test_a_listener_that_stops_leaves_no_connection(count_connections):
    before = count_connections("true")
    async with aclosing(listen("jobs")) as stream:
        await received(stream)
        assert count_connections("query LIKE 'LISTEN%'") == 1
    await eventually(lambda: count_connections("true") <= before)
    assert count_connections("query LIKE 'LISTEN%'") == 0
