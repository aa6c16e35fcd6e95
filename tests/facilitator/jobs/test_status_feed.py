"""Publishing statuses to open feeds."""

from datetime import UTC, datetime

import pytest

from compute_horde.protocol.status import StatusReported
from compute_horde.vocabulary import JobState
from facilitator.jobs.rules import StatusEvent
from facilitator.jobs.status_feed import FeedRegistry
from tests.compute_horde.vectors import JOB

SENT = StatusEvent(1, datetime.now(UTC), StatusReported(uuid=JOB, status=JobState.SENT))


async def test_all_readers_of_a_job_get_its_statuses_and_no_others():
    feed_registry = FeedRegistry()
    one, two, other = (
        feed_registry.open("a", "u"),
        feed_registry.open("a", "v"),
        feed_registry.open("b", "u"),
    )
    feed_registry.publish("a", [SENT])
    assert await one.next(within_seconds=1) == await two.next(within_seconds=1) == SENT
    with pytest.raises(TimeoutError):
        await other.next(within_seconds=0)


async def test_readers_are_counted_until_they_close_however_often():
    feed_registry = FeedRegistry()
    feeds = [
        feed_registry.open("a", "u"),
        feed_registry.open("b", "u"),
        feed_registry.open("b", "v"),
    ]
    assert (feed_registry.count("u"), feed_registry.count("v"), feed_registry.count()) == (
        2,
        1,
        3,
    )
    for feed in (*feeds, *feeds):
        feed_registry.close(feed)
    assert (feed_registry.count("u"), feed_registry.count()) == (0, 0)
    feed_registry.publish("a", [SENT])


async def test_a_registry_that_stops_ends_every_feed():
    feed_registry = FeedRegistry()
    feed = feed_registry.open("a", "u")
    feed_registry.stop()
    assert await feed.next(within_seconds=1) is None
