"""Publishing statuses to open feeds."""

import asyncio
from datetime import UTC, datetime

import pytest

from compute_horde.protocol.status import JobResult, StatusMetadata, StatusReported
from compute_horde.vocabulary import JobState
from facilitator.jobs.rules import StatusEvent
from facilitator.jobs.status_feed import PIECE_BYTES, Feed, FeedRegistry
from tests.compute_horde.vectors import JOB

SENT = StatusEvent(1, datetime.now(UTC), StatusReported(uuid=JOB, status=JobState.SENT))


def ended(number: int, output_bytes: int) -> StatusEvent:
    """The last status of a job that has printed so much."""
    result = JobResult(docker_process_stdout="x" * output_bytes, docker_process_stderr="")
    metadata = StatusMetadata(miner_response=result)
    report = StatusReported(uuid=JOB, status=JobState.COMPLETED, metadata=metadata)
    return StatusEvent(number, datetime.now(UTC), report)


def given_out(feed: Feed) -> list[bytes]:
    """All pieces of what a feed holds."""
    return list(iter(feed.piece, b""))


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


async def test_statuses_stored_before_a_feed_was_opened_come_first():
    feed = FeedRegistry().open("a", "u")
    feed.put(ended(3, 0))
    feed.put_first([SENT, SENT._replace(id=2)])
    assert [(await feed.next(within_seconds=1)).id for _ in range(3)] == [1, 2, 3]
    assert feed.latest_id == 3


async def test_what_a_reader_has_not_taken_is_counted_until_it_has():
    registry = FeedRegistry()
    feed = registry.open("a", "u")
    registry.publish("a", [ended(1, 10_000)])
    assert 10_000 < registry.unsent_bytes < 30_000
    await feed.next(within_seconds=1)
    assert registry.unsent_bytes == 0
    feed.hold(b"x" * (PIECE_BYTES + 1))
    assert registry.unsent_bytes > PIECE_BYTES
    assert [len(piece) for piece in given_out(feed)] == [PIECE_BYTES, 1]
    assert registry.unsent_bytes == 0


async def test_over_the_bytes_of_a_hotkey_the_reader_with_most_is_cut_and_no_other_hotkeys():
    registry = FeedRegistry(unsent_bytes_of_hotkey=100_000)
    slow, quick, other = registry.open("a", "u"), registry.open("b", "u"), registry.open("c", "v")
    registry.publish("c", [ended(1, 90_000)])
    registry.publish("a", [ended(1, 80_000)])
    registry.publish("b", [ended(1, 30_000)])
    assert (slow.is_cut, quick.is_cut, other.is_cut) == (True, False, False)
    assert await slow.next(within_seconds=1) is None
    assert (await quick.next(within_seconds=1)).is_end
    assert 90_000 < registry.unsent_bytes < 120_000


async def test_over_the_bytes_of_all_what_is_half_sent_is_dropped_too():
    registry = FeedRegistry(unsent_bytes=100_000)
    slow, quick = registry.open("a", "u"), registry.open("b", "v")
    slow.hold(b"x" * 90_000)
    assert slow.piece()
    registry.publish("b", [ended(1, 30_000)])
    assert given_out(slow) == []
    assert (slow.is_cut, quick.is_cut) == (True, False)
    slow.hold(b"x" * 90_000)
    slow.put(SENT)
    assert given_out(slow) == []
    assert registry.unsent_bytes < 40_000


async def test_a_closed_feed_counts_for_nothing():
    registry = FeedRegistry()
    feed = registry.open("a", "u")
    feed.hold(b"x" * 1000)
    feed.put(SENT)
    registry.close(feed)
    assert (registry.unsent_bytes, feed.is_cut) == (0, True)


async def test_a_reader_that_waits_learns_that_its_feed_is_cut():
    registry = FeedRegistry()
    feed = registry.open("a", "u")
    waiting = asyncio.create_task(feed.next(within_seconds=60))
    await asyncio.sleep(0)
    registry.close(feed)
    assert await waiting is None


async def test_a_hotkey_has_room_for_so_many_feeds():
    registry = FeedRegistry()
    opened = [registry.open("a", "u") for _ in range(3)]
    assert not registry.has_room("u", per_hotkey=3, in_all=10)
    assert registry.has_room("v", per_hotkey=3, in_all=10)
    registry.close(opened[0])
    assert registry.has_room("u", per_hotkey=3, in_all=10)


async def test_a_hotkey_that_holds_all_gives_up_its_newest_feeds_until_others_have_as_many():
    registry = FeedRegistry()
    held = [registry.open("a", "u") for _ in range(4)]
    for cut in (3, 2):
        assert registry.has_room("v", per_hotkey=9, in_all=4)
        registry.open("b", "v")
        registry.cut_surplus(4)
        assert [feed.is_cut for feed in held].index(True) == cut
    assert not registry.has_room("v", per_hotkey=9, in_all=4)
    assert not registry.has_room("u", per_hotkey=9, in_all=4)
    assert registry.has_room("w", per_hotkey=9, in_all=4)
    assert registry.count() == 4
