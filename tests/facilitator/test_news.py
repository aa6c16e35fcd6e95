"""Handing statuses to those who wait."""

from datetime import UTC, datetime

import pytest

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.news import Desk
from facilitator.rules import Told
from tests.compute_horde.vectors import JOB

SENT = Told(1, datetime.now(UTC), StatusReported(uuid=JOB, status=JobState.SENT))


async def test_all_readers_of_a_job_are_told_and_nobody_else():
    desk = Desk()
    one, two, other = desk.open("a", "u"), desk.open("a", "v"), desk.open("b", "u")
    desk.tell("a", [SENT])
    assert await one.next(within_seconds=1) == await two.next(within_seconds=1) == SENT
    with pytest.raises(TimeoutError):
        await other.next(within_seconds=0)


async def test_readers_are_counted_until_they_close_however_often():
    desk = Desk()
    feeds = [desk.open("a", "u"), desk.open("b", "u"), desk.open("b", "v")]
    assert (desk.readers("u"), desk.readers("v"), desk.readers()) == (2, 1, 3)
    for feed in (*feeds, *feeds):
        desk.close(feed)
    assert (desk.readers("u"), desk.readers()) == (0, 0)
    desk.tell("a", [SENT])


async def test_a_desk_that_stops_tells_every_reader():
    desk = Desk()
    feed = desk.open("a", "u")
    desk.stop()
    assert await feed.next(within_seconds=1) is None
