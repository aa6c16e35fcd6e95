"""Finds stored statuses that a quiet event stream was not given, with one query for many streams.

A status is published right after it is stored, so there is one only where that failed, such as
where the answer of the database was lost.
"""

from contextlib import suppress

from compute_horde.concurrency.batch_writer import BatchWriter
from facilitator.jobs import store
from facilitator.jobs.status_feed import Feed
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

# How long feeds are collected for a query.
COLLECT_SECONDS = 1.0
QUIET = "quiet feeds"


def look_for(feed: Feed) -> None:
    """Put what this feed has missed into it, soon; the feed ends if its job was deleted."""
    _queries.put(QUIET, feed)


async def _look(key: str, feeds: list[Feed]) -> None:
    # Without the database, all are quiet again and come back here.
    with suppress(ApiError):
        latest = await query_within_deadline(store.latest_events, {feed.job_uuid for feed in feeds})
        for feed in feeds:
            if latest.get(feed.job_uuid, 0) > feed.latest_id:
                await _fill(feed)
            elif feed.job_uuid not in latest:
                feed.put(None)


async def _fill(feed: Feed) -> None:
    found = await query_within_deadline(store.own_statuses, feed.job_uuid, feed.hotkey)
    for status in found[1] if found else ():
        if status.id > feed.latest_id:
            feed.put(status)


_queries: BatchWriter[str, Feed] = BatchWriter(_look, linger_seconds=COLLECT_SECONDS)
