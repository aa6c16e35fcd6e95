"""Statuses that are stored but did not reach a feed."""

import pytest
import pytest_asyncio
from django.db import connection
from django.test.utils import CaptureQueriesContext

from compute_horde.django.database import in_database
from facilitator.jobs import missed_statuses
from facilitator.jobs.status_feed import FeedRegistry
from facilitator.models import Job
from facilitator.web.errors import ApiError


@pytest_asyncio.fixture
async def uuids(user, line):
    """Three jobs that were sent."""
    made = [(await user.create()).json()["uuid"] for _ in range(3)]
    for _ in made:
        await line.receive()
    return made


@pytest.fixture
def feeds(user, uuids):
    """One feed of each job, which has been given nothing yet."""
    registry = FeedRegistry()
    return [registry.open(uuid, user.hotkey) for uuid in uuids]


async def test_all_quiet_feeds_are_looked_at_with_one_query(feeds, monkeypatch):
    statements = []

    async def observed(work, *args):
        def counted():
            with CaptureQueriesContext(connection) as queries:
                answer = work(*args)
            statements.extend(queries.captured_queries)
            return answer

        return await in_database(counted)

    monkeypatch.setattr(missed_statuses, "query_within_deadline", observed)
    for feed in feeds:
        feed.latest_id = 2**62
        missed_statuses.look_for(feed)
    await missed_statuses._queries.flush(missed_statuses.QUIET)
    assert len(statements) == 1
    for feed in feeds:
        with pytest.raises(TimeoutError):
            await feed.next(within_seconds=0)


async def test_only_what_was_missed_is_put_into_a_feed(feeds, line, uuids):
    one, other, _ = feeds
    missed_statuses.look_for(one)
    await missed_statuses._queries.flush(missed_statuses.QUIET)
    assert (await one.next(within_seconds=5)).report.status == "sent"
    await line.report(uuids[0], "failed")
    missed_statuses.look_for(one)
    await missed_statuses._queries.flush(missed_statuses.QUIET)
    assert (await one.next(within_seconds=5)).report.status == "failed"
    with pytest.raises(TimeoutError):
        await one.next(within_seconds=0)
    with pytest.raises(TimeoutError):
        await other.next(within_seconds=0)


async def test_a_deleted_job_ends_its_feeds(feeds, uuids):
    await in_database(Job.objects.filter(pk=uuids[0]).delete)
    missed_statuses.look_for(feeds[0])
    await missed_statuses._queries.flush(missed_statuses.QUIET)
    assert await feeds[0].next(within_seconds=5) is None


async def test_without_the_database_a_feed_stays_as_it_is(feeds, monkeypatch):
    async def refused(*args):
        raise ApiError(503, {})

    monkeypatch.setattr(missed_statuses, "query_within_deadline", refused)
    missed_statuses.look_for(feeds[0])
    await missed_statuses._queries.flush(missed_statuses.QUIET)
    with pytest.raises(TimeoutError):
        await feeds[0].next(within_seconds=0)
